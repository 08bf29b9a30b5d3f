// The texts of `pmesh help TOPIC` and `pmesh help CODE`. Codes come from the one table of errors.

import { ERRORS, type ErrorCode } from '../base/errors.ts'

const ENVIRONMENT = `Environment

  PMESH_HOME             home folder; --home goes before it
  PMESH_PASSPHRASE_FILE  file with the passphrase, for starts without a terminal
  PMESH_SECTION_KEY      a setting, as PMESH_NETWORK_LISTEN; pmesh config show --json names each one
                         (identity and security settings come from config.toml alone)
  NO_COLOR               no colour
  XDG_RUNTIME_DIR        where the socket goes when the home's path is too long for one

Options that every command takes

  --home <folder>        home folder
  --socket <path>        local socket of the node
  --json                 lists {items, next}, streams as lines, errors {code, message, hint, details?, cause?} on stderr
  -q, --quiet            results only
  -v, --verbose          causes of errors
  --no-input             ask nothing
  --color <when>         auto, always or never
  --timeout <duration>   longest wait for the node: 500ms, 30s, 5m
`

const EXIT_CODES = `Exit codes

    0  done
    1  failed
    2  usage: wrong arguments, settings or input
   10  the node is not running
   11  locked, or the wrong passphrase
   12  denied by policy or person
   13  waits: for an approval, or for the log to be recovered
   14  verification failed
   15  timed out
  130  cancelled
`

const FILES = `Files (pmesh paths shows yours; the home is 0700)

  config.toml            settings
  agents.toml            providers, agents, judges, and MCP servers under [mcp]; credentials are sealed where they stand
  policy.toml            which calls run, ask or never run
  identity/ed25519.key   the key of this node, sealed, 0600
  identity/mesh.json     which mesh this node belongs to, and its sealed secrets
  secret.key             seals the key and the credentials, 0600
  run/pmesh.sock         local socket, 0600: whoever can open it commands the node
  store/                 the log
  tools/                 code of the tools that were registered here
  workspaces/            the folders of the newest runs; as root they lie in /var/lib/pmesh/workspaces/
  results/               results above 1 MiB; the oldest go
  backups/               copies made before changes of format
  pmesh.log              what the node did, as JSON lines without secrets
`

const SECURITY = `Security

  The identity key and the credentials are sealed by secret.key, by a passphrase, or by the system's keyring.
  Secrets are read from a hidden prompt, a file or stdin, never from a flag, and are never printed or logged.
  Members talk over encrypted streams; only admitted keys get anything of the log.
  Every event is hashed, chained and sealed by its author; pmesh log verify checks all of it again from disk.
  The socket is the permission: mode 0600 in a folder of yours alone.
  Run the node under an account of its own, not as root.
`

const APPROVALS = `Approvals

  A call that the policy does not allow by itself waits for a person, on whatever node that person sits.
  pmesh approval list shows what waits, pmesh approval show ID all of it: the exact arguments (what looks like a
  credential is masked), the folder, paths and hosts, why it is asked, and the digest of exactly this call.
  pmesh task submit and pmesh ask put the question where you are.

  Type yes or approve, no or deny. Enter alone, anything else, the end of the input and the expiry approve nothing.
  A vote releases one call, once: another argument, tool, folder or member has another digest.
  Without a terminal: pmesh approval approve ID --digest HEX --yes refuses when the digest is not the one that you looked at.
  Ids may be given by 6 or more of their first characters.
`

const POLICY = `Policy

  policy.toml in the home decides about every call: deny goes before ask, ask before allow; nothing matched asks.
  Without the file every call asks. Text from peers, pages, files and tools taints a run: then what reaches outside asks in any case.

  pmesh policy show             the rules of this node, and where each one stands
  pmesh policy check [FILE]     what is wrong with a file, before it counts
  pmesh policy explain TOOL     what would be decided about a call, by which rule
  pmesh policy test FILE        lines {"tool": "calc", "input": {"expression": "1+1"}, "expect": "allow"}; exit code 14 on a difference
`

export const TOPICS: Readonly<Record<string, string>> = {
  approvals: APPROVALS,
  environment: ENVIRONMENT,
  'exit-codes': EXIT_CODES,
  files: FILES,
  policy: POLICY,
  security: SECURITY
}

/** What an error code means for a person and for a program. */
export function codeHelp(code: ErrorCode): string {
  const { exit, rpc, hint } = ERRORS[code]
  return `${code}\n\n  fix        ${hint}\n  exit code  ${exit}\n  JSON-RPC   ${rpc}\n`
}
