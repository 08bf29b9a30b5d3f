// The promises that are done: each is proved by at least one test whose name cites its id (test/house/requirements.test.ts).
// A promise that is not built, or not proved, is not listed.

import { RUN_REQUIREMENTS } from './requirements-runs.ts'

export interface Requirement {
  /** AREA-NUMBER, cited by the names of the tests that prove it. */
  readonly id: string
  /** The promise in one sentence, as a user would check it. */
  readonly promise: string
}

export const REQUIREMENTS: readonly Requirement[] = [
  {
    id: 'ID-1',
    promise:
      'First start makes an Ed25519 key pair in a file of mode 0600 in a folder of mode 0700; the peer id is derived from it; a second start uses the same.'
  },
  {
    id: 'ID-2',
    promise: 'A malformed or truncated key file is a clear error that names the file; it is never silently regenerated.'
  },
  { id: 'ID-3', promise: 'A key file readable by others is refused, with the chmod to run.' },
  {
    id: 'ID-4',
    promise:
      'A small-order, mixed-order or non-canonical public key is refused at admission; golden vectors hold each class of odd key and signature to one verifier’s answer everywhere (cofactorless).'
  },
  {
    id: 'ID-5',
    promise:
      'Credentials that v0.1 wrote (`enc2:`) are read; new values carry a version marker, a random nonce, a key derived with a memory-hard function or from the keyring or key file, and additional data that binds provider and field: a value moved to another place fails.'
  },
  {
    id: 'ID-6',
    promise:
      'A credential that does not decrypt is an error naming the field; the ciphertext is never passed on as if it were the key.'
  },
  { id: 'ID-7', promise: 'Rotation encrypts every value again; a crash half-way leaves old or new, never a mixture.' },
  {
    id: 'ID-8',
    promise:
      'There is no fallback cipher; keys in plain text in agents.toml are refused unless allowed by name, and `pmesh doctor` counts them.'
  },
  {
    id: 'ID-9',
    promise:
      'A secret never appears in logs, errors, events, answers of the socket, process titles, crash output or prompts: every byte that the node wrote is searched for it.'
  },
  { id: 'CHAIN-1', promise: 'The hash covers the whole record: flipping any field of the format is detected.' },
  {
    id: 'CHAIN-2',
    promise:
      'Sequence without gaps per author, previous id and the author’s signature: chaining anew without the key is detected.'
  },
  {
    id: 'CHAIN-3',
    promise:
      'Truncation of the tail is detected: heads that the author signed and peers witnessed contradict it; a fresh member gets them at first sync; rebuilding views never lowers them.'
  },
  { id: 'CHAIN-4', promise: 'A deleted or empty log and an unknown author read “unknown”, never “valid”.' },
  {
    id: 'CHAIN-5',
    promise:
      'Two different events at the same author, chain, epoch and sequence number are both kept as a portable proof, and the author is flagged on every node that learns of it.'
  },
  { id: 'CHAIN-6', promise: 'Interleaved authors and runs all verify.' },
  {
    id: 'CHAIN-7',
    promise: 'A rewritten suffix of the same length is detected: ids are compared, not only sequence numbers.'
  },
  {
    id: 'CHAIN-8',
    promise:
      'Golden vectors freeze the encoding; JSON that programs could read differently is refused at local append, and stored without effect when it comes from others.'
  },
  { id: 'CHAIN-9', promise: 'Append-only: a second event with the same id or place is refused.' },
  {
    id: 'CHAIN-10',
    promise:
      'After kill −9 during appends (50 rounds in CI, any number by command) the reopened log verifies and nothing that was acknowledged is lost.'
  },
  {
    id: 'CHAIN-11',
    promise: 'A log of 10^6 events verifies in bounded memory (a tenth of it in every test run, all by command).'
  },
  {
    id: 'CHAIN-12',
    promise:
      'An independent verifier of at most 200 lines that imports nothing of the project agrees with the node on 100 mutated exports.'
  },
  {
    id: 'CHAIN-13',
    promise:
      'A node restored from an old backup does not fork its own chain when a peer is reachable; when none was, the fork is found on the next contact, both branches are kept and counted, the author goes on in a new epoch, and no event is lost, copied or un-said; of two live copies of one key the later-started stops writing.'
  },
  {
    id: 'CHAIN-14',
    promise:
      'A clock that goes backwards or jumps ahead leaves the chain valid; order stays causal; a far-future time is flagged and does not drag other clocks along.'
  },
  {
    id: 'CHAIN-15',
    promise:
      'Any order of arrival folds to one state hash; a damaged middle of the store’s write-ahead log is found at open, the chains are reset to whole appends and healed from peers.'
  },
  {
    id: 'SYNC-1',
    promise:
      'An event appended on one node reaches every connected member by gossip; a member that was away catches up by range sync.'
  },
  { id: 'SYNC-2', promise: 'After any partition, heal and churn, all members hold identical chains.' },
  {
    id: 'SYNC-3',
    promise:
      'Malformed, oversized, out-of-order, replayed, unsigned, foreign-mesh and non-member frames are ignored or rejected; the sender’s score falls; the node stays up and its memory stays bounded.'
  },
  {
    id: 'SYNC-4',
    promise: 'A slow reader never makes the sender’s memory grow: everything is bounded, with back-pressure.'
  },
  {
    id: 'SYNC-5',
    promise: 'A sync broken off at any byte goes on at the last whole append; nothing is written twice.'
  },
  { id: 'SYNC-6', promise: 'The own log is recovered from peers before the first append where a peer is reachable.' },
  { id: 'SYNC-7', promise: 'A new member catches up from many peers at once; one lying peer does not stop it.' },
  {
    id: 'MEMBER-1',
    promise:
      'Only admitted keys exchange events; a stranger with a full gossipsub gets no frame byte and no topic name, only the door.'
  },
  {
    id: 'MEMBER-2',
    promise:
      'An invite works once, expires, can be revoked, and is bound to the inviter’s key: the joiner checks the mesh before it sends its proof.'
  },
  {
    id: 'MEMBER-3',
    promise:
      'A removed member is disconnected within seconds wherever the removal has arrived, events beyond its cut are refused, its earlier ones stay verifiable.'
  },
  {
    id: 'MEMBER-4',
    promise: 'An observer replicates and appends nothing but its own presence; only admins admit and remove.'
  },
  {
    id: 'MEMBER-5',
    promise:
      'Concurrent admission, removal and change resolve the same way on every node; ranks make mutual removal impossible; a removal’s cut decides which events stay valid; the recovery key can name a new founder.'
  },
  { id: 'MEMBER-6', promise: '`--bootstrap MULTIADDR…` forms a cluster; a wrong peer id in the multiaddr is refused.' },
  { id: 'MEMBER-7', promise: 'An optional pre-shared key keeps strangers out before Noise.' },
  {
    id: 'RPC-1',
    promise: 'The socket has mode 0600 in a folder of mode 0700; a stale socket is replaced, a live one is not.'
  },
  {
    id: 'RPC-2',
    promise:
      'JSON-RPC 2.0: parse error, invalid request, unknown method, bad params, batch, notification, ids of every allowed type.'
  },
  {
    id: 'RPC-3',
    promise:
      'Line limit, in-flight limit, slow reader, half-closed client, 1000 connects: bounded, answered, never a crash.'
  },
  { id: 'RPC-4', promise: 'Subscriptions resume from a cursor without a gap or a duplicate.' },
  {
    id: 'RPC-5',
    promise: 'Every method has a schema for params and result and a scope; a method without them fails the build.'
  },
  {
    id: 'BACKUP-1',
    promise:
      'A schema migration makes a backup first and can be rolled back; an interrupted one resumes; a newer store is refused with a clear message.'
  },
  {
    id: 'ENV-1',
    promise:
      'References to environment variables are replaced after parsing, in string values only; one that is unset without a default is an error that names the variable and the place; defaults and escapes work; resolved secrets never show in any dump.'
  },
  {
    id: 'HARD-2',
    promise: 'The daemon warns as root; the default listens are loopback or the mesh ports only, the socket 0600.'
  },
  {
    id: 'PRIVATE-1',
    promise:
      'No telemetry: a node with no peers and no providers opens no connection at all (observed from outside the process).'
  },
  ...RUN_REQUIREMENTS
]
