// Promises of tasks and runs: guard, policy, approvals, sandboxes, tools, judges and replays.

import type { Requirement } from './requirements.ts'

export const RUN_REQUIREMENTS: readonly Requirement[] = [
  {
    id: 'GUARD-1',
    promise: 'The text that a stage changed is what the next stage gets.'
  },
  {
    id: 'GUARD-3',
    promise:
      'Text is normalised before it is matched: NFKC, confusables, zero-width and bidirectional controls, tag characters, base64, hex, percent and rot13, split words, leetspeak, role tokens, languages other than English.'
  },
  {
    id: 'GUARD-4',
    promise: 'An exception in a guard means block.'
  },
  {
    id: 'GUARD-5',
    promise:
      'Inputs, tool results, peers’ tasks, fetched pages and tool descriptions all pass the guard; streams are matched across chunk borders.'
  },
  {
    id: 'GUARD-6',
    promise:
      'Every pattern runs in linear time, which a checker proves, and 1 MB of hostile text passes within 10 seconds.'
  },
  {
    id: 'POLICY-1',
    promise:
      'Deny is looked at first, then ask, then allow; nothing matched means ask; no policy file means ask for everything.'
  },
  {
    id: 'POLICY-2',
    promise:
      'Every tool declares a risk tier; the classifier may raise it and never lower it; undeclared means irreversible.'
  },
  {
    id: 'POLICY-3',
    promise:
      'Output of a web page, of a file outside the trust list, of a tool or a peer taints the run; a tainted run’s external or irreversible call needs a person even where a rule would allow it.'
  },
  {
    id: 'POLICY-4',
    promise:
      'The verdict over tier, taint and mode is exhaustive and deterministic, and explains itself with the rule’s place.'
  },
  {
    id: 'POLICY-5',
    promise: 'Security settings come from the user’s file alone, never from the environment, a tool or gossip.'
  },
  {
    id: 'SCHEMA-1',
    promise:
      'Arguments that do not fit their schema are refused before any effect, with a JSON pointer; properties beyond the schema are refused by default; a remote reference is never fetched.'
  },
  {
    id: 'CMD-1',
    promise:
      'A program that is not listed does not run; arguments go as an array; there is no shell unless the policy names one.'
  },
  {
    id: 'CMD-2',
    promise: 'Dangerous argument forms of allowed programs are refused.'
  },
  {
    id: 'CMD-3',
    promise: 'Destructive commands are recognised after tokenising, in any order and spelling.'
  },
  {
    id: 'CMD-4',
    promise: 'Harmless look-alikes of dangerous commands stay allowed.'
  },
  {
    id: 'CMD-5',
    promise: 'The same check runs on every path that can start a process; with it switched off the sandbox still holds.'
  },
  {
    id: 'CMD-6',
    promise: 'A blocked attempt is an event with the rule’s id.'
  },
  {
    id: 'CALC-1',
    promise:
      'Arithmetic is exact for integers and decimals, with Python’s precedence, limits on exponent, length and depth, no identifiers, and errors that name the place.'
  },
  {
    id: 'FILE-1',
    promise: 'File tools stay inside the workspace, whatever the path, link, race, device, quota or spelling.'
  },
  {
    id: 'TRACK-1',
    promise:
      'What a tool reads, writes, creates, deletes or renames is recorded with operation, path, size and hashes; also what a process inside the sandbox writes.'
  },
  {
    id: 'SANDBOX-1',
    promise: 'A sandboxed program has no ambient environment, file system, network or secret of its parent.'
  },
  {
    id: 'SANDBOX-2',
    promise: 'A time limit ends the whole tree: ignored signals, grandchildren, daemons.'
  },
  {
    id: 'SANDBOX-3',
    promise: 'Limits on memory, processes and output hold.'
  },
  {
    id: 'SANDBOX-4',
    promise:
      'A module with more declared memory than the limit, or imports beyond those granted, is refused; endless loops and deep stacks are contained.'
  },
  {
    id: 'SANDBOX-5',
    promise: 'Scripts reach no host object through prototypes, constructors, promises or errors.'
  },
  {
    id: 'SANDBOX-6',
    promise: 'Where the operating system offers no isolation command tools do not run, and status and doctor say why.'
  },
  {
    id: 'TOOL-1',
    promise:
      'Registering a tool is a signed event with the code’s hash, which is checked before every run; another node’s registration is never executed by itself.'
  },
  {
    id: 'TOOL-2',
    promise:
      'Tool names match ^[a-z][a-z0-9_]{0,99}$; reserved names are refused; registering again needs an explicit replace.'
  },
  {
    id: 'TOOL-3',
    promise: 'Input goes by stdin up to its limit; required parameters and types are enforced; output is bounded.'
  },
  {
    id: 'APPROVE-1',
    promise:
      'An approval is bound to the digest of the exact call, which the approver’s node computes from what it shows; approve one call, run another: refused.'
  },
  {
    id: 'APPROVE-2',
    promise: 'An approval is for single use, expires, survives a restart and cannot be replayed.'
  },
  {
    id: 'APPROVE-3',
    promise:
      'Only a member’s key with the right approves, in its own chain, from any node; agents, tokens and peers’ tasks never do.'
  },
  {
    id: 'APPROVE-4',
    promise:
      'After approval the action runs at most once; a crash in between reads unknown and is never run again by itself; after denial never; no answer means no.'
  },
  {
    id: 'APPROVE-5',
    promise: 'N of M, ties, duplicates, late and conflicting votes across a partition never run the action twice.'
  },
  {
    id: 'APPROVE-6',
    promise: 'Request and decision are events in the chain; the prompt shows the exact call, folder and destination.'
  },
  {
    id: 'TASK-1',
    promise:
      'Across partition, suspension and crash at every boundary effects above “internal” happen at most once and everything else at least once; what cannot be known reads unknown and waits for a person.'
  },
  {
    id: 'TASK-2',
    promise: 'Late events of an earlier attempt change nothing.'
  },
  {
    id: 'JUDGE-1',
    promise:
      'One judge by default, three different ones for critical tiers; a single “unsafe” at any confidence blocks.'
  },
  {
    id: 'JUDGE-2',
    promise:
      'Time-out, malformed, missing verdict, extra prose, two JSON objects and confidence that is no number block.'
  },
  {
    id: 'JUDGE-3',
    promise: 'Fewer judges than required block; a budget that is used up blocks, with that reason.'
  },
  {
    id: 'JUDGE-4',
    promise:
      'Judged text is fenced as data with a nonce; a verdict inside it changes nothing; judges have no tools and no environment.'
  },
  {
    id: 'JUDGE-5',
    promise:
      'Each judge has a time limit; the first veto cancels the others; judges in flight are limited for the whole process.'
  },
  {
    id: 'JUDGE-6',
    promise: 'A deterministic offline judge works without keys and is labelled as such in every verdict.'
  },
  {
    id: 'JUDGE-7',
    promise: 'Judges on other nodes can be asked; their signed verdicts are events.'
  },
  {
    id: 'AUDIT-1',
    promise:
      'Every allowed and denied call is recorded with who, method, tool, arguments, result, duration, cost and status; secrets are masked before the text is cut.'
  },
  {
    id: 'AUDIT-2',
    promise: 'What cannot be recorded does not happen.'
  },
  {
    id: 'REPLAY-1',
    promise: 'A run is decided again from the log alone with the same deterministic verdicts; effects are not repeated.'
  },
  {
    id: 'REPLAY-2',
    promise: 'Killed at any step boundary and resumed, an effect happens once or is flagged for a person.'
  },
  {
    id: 'SSRF-1',
    promise: 'Only http and https to public addresses, whatever the spelling of a private one.'
  },
  {
    id: 'SSRF-2',
    promise: 'A name that leads to any denied address is denied; the connection goes to the address that was checked.'
  },
  {
    id: 'SSRF-3',
    promise: 'Redirects are not followed into denied space; user names and unexpected ports are denied.'
  },
  {
    id: 'SSRF-4',
    promise:
      'One guard serves web tools, model servers and MCP servers, and addresses that members advertise pass one of their own.'
  }
]
