// The one table of errors: code AREA_WHAT → exit code, JSON-RPC code, hint. docs/errors.md is generated from it.
// Codes and exit codes are promises: only added to.

export interface ErrorInfo {
  /** Process exit code: 1 failed, 2 usage, 10 node not running, 11 locked, 12 denied, 13 waits, 14 verification failed, 15 timed out. */
  readonly exit: number
  /** JSON-RPC error code. */
  readonly rpc: number
  /** The command or act that mends it. */
  readonly hint: string
}

const failed = (rpc: number, hint: string): ErrorInfo => ({ exit: 1, rpc, hint })
const usage = (rpc: number, hint: string): ErrorInfo => ({ exit: 2, rpc, hint })
const exits = (exit: number, rpc: number, hint: string): ErrorInfo => ({ exit, rpc, hint })

export const ERRORS = {
  INTERNAL: failed(-32603, 'This is a defect of pmesh; pmesh.log has the details.'),
  USAGE: usage(-32602, 'pmesh help shows the commands.'),
  CANCELLED: exits(130, -32030, 'Nothing more was done.'),
  TIMEOUT: exits(15, -32015, 'Try again, or raise --timeout.'),
  RUNTIME_TOO_OLD: usage(-32603, 'Install Node 24.12 or newer: https://nodejs.org'),

  CONFIG_INVALID: usage(-32602, 'pmesh config check names the place.'),
  CONFIG_KEY_UNKNOWN: usage(-32602, 'pmesh config show lists the keys.'),
  CONFIG_EXPOSED: failed(-32602, 'chmod 600 the file.'),
  HOME_INVALID: failed(-32603, 'Choose a folder that you own with --home or PMESH_HOME.'),
  HOME_EXPOSED: failed(-32603, 'chmod 700 the folder.'),

  IDENTITY_MISSING: failed(-32001, 'pmesh init creates an identity.'),
  IDENTITY_KEY_INVALID: failed(
    -32001,
    'Restore the key file from a backup; it is never regenerated over an existing file.'
  ),
  IDENTITY_KEY_EXPOSED: failed(-32001, 'chmod 600 the key file.'),
  IDENTITY_LOCKED: exits(11, -32011, 'Give the passphrase (PMESH_PASSPHRASE_FILE, or type it), or restore secret.key.'),
  IDENTITY_KEY_REFUSED: failed(-32001, 'The public key is not a canonical, torsion-free Ed25519 key.'),
  IDENTITY_IN_USE_TWICE: failed(-32012, 'Stop the other copy, or run pmesh identity claim here.'),
  KEYRING_UNAVAILABLE: failed(-32001, 'Use --seal key-file or --seal passphrase; a headless system has no keyring.'),

  CREDENTIAL_MISSING: failed(-32602, 'pmesh credential list shows what is there.'),
  CREDENTIAL_UNDECRYPTABLE: exits(11, -32011, 'Set the value again: pmesh credential set PROVIDER FIELD.'),
  CREDENTIAL_PLAINTEXT: failed(
    -32602,
    'pmesh credential set seals it; or allow the place by name in security.allow_plaintext.'
  ),
  CREDENTIAL_FORMAT: failed(-32602, 'Only enc2: values are read. Set the value again: pmesh credential set.'),

  EVENT_INVALID: usage(-32602, 'The payload must be one JSON object of at most 64 KiB.'),
  EVENT_TYPE_INVALID: usage(-32602, 'Types are app-… in lower-case words joined by hyphens, at most 64 characters.'),
  EVENT_TOO_LARGE: usage(-32602, 'A payload is at most 65536 bytes; split it or store a reference.'),
  EVENT_BATCH_TOO_LARGE: usage(-32602, 'A batch is at most 1024 events and 192 KiB; send several.'),
  EVENT_FORBIDDEN: exits(12, -32020, 'pmesh member show tells the role of this node; an admin can change it.'),
  EVENT_UNKNOWN: failed(-32602, 'pmesh log show lists the events.'),

  LOG_RECOVERING: exits(
    13,
    -32013,
    'The node fetches its own log from the others first; pmesh why tells what it waits for.'
  ),
  LOG_QUEUE_FULL: failed(-32014, 'Wait for earlier appends to finish.'),
  LOG_HASH_MISMATCH: exits(14, -32024, 'Keep the evidence: pmesh log export, then pmesh why.'),
  LOG_PREVIOUS_MISMATCH: exits(14, -32024, 'Keep the evidence: pmesh log export, then pmesh why.'),
  LOG_SEAL_INVALID: exits(14, -32024, 'Keep the evidence: pmesh log export, then pmesh why.'),
  LOG_SEQUENCE_GAP: exits(14, -32024, 'Keep the evidence: pmesh log export, then pmesh why.'),
  LOG_TRUNCATED: exits(14, -32024, 'A peer holds a signed head beyond this log; connect to it and the log heals.'),
  LOG_FORKED: exits(14, -32024, 'Both branches are kept; pmesh why shows them.'),
  LOG_UNKNOWN: exits(14, -32024, 'Nothing is known of that author; an empty log is never valid.'),
  LOG_VERIFICATION_FAILED: exits(14, -32024, 'Keep the evidence: pmesh log export, then pmesh why.'),
  EXPORT_INVALID: exits(14, -32024, 'The export is damaged or was not made by pmesh log export.'),

  STORE_LOCKED: failed(-32040, 'Another process has the store open; pmesh node stop, or use the running node.'),
  STORE_DAMAGED: failed(-32040, 'pmesh doctor tells what can be healed from peers.'),
  STORE_TOO_NEW: failed(-32040, 'This store was written by a newer pmesh; upgrade, or restore a backup.'),
  STORE_FOREIGN: failed(-32040, 'The folder holds another program’s or another mesh’s store; choose another --home.'),
  STORE_FULL: failed(-32040, 'Free disk space; the node goes on by itself.'),
  STORE_FAILED: failed(-32040, 'pmesh doctor checks the store.'),

  MESH_ALREADY_MEMBER: failed(-32602, 'This home belongs to a mesh with history; use another --home.'),
  MESH_FILE_INVALID: failed(
    -32001,
    'Restore identity/mesh.json from a backup; it is never rewritten over a damaged one.'
  ),
  MESH_MISSING: failed(-32602, 'pmesh init founds a mesh, pmesh join enters one.'),
  MESH_UNREACHABLE: exits(15, -32015, 'Check that the inviter’s node runs and that its address is reachable.'),

  INVITE_INVALID: usage(-32602, 'Paste the whole line that pmesh invite create printed.'),
  INVITE_UNKNOWN: exits(12, -32020, 'Ask for a new invite: pmesh invite create.'),
  INVITE_EXPIRED: exits(12, -32020, 'Ask for a new invite: pmesh invite create.'),
  INVITE_USED: exits(12, -32020, 'Each invite admits one node; ask for another: pmesh invite create.'),
  INVITE_REVOKED: exits(12, -32020, 'Ask for a new invite: pmesh invite create.'),
  INVITE_FOREIGN_MESH: exits(12, -32020, 'The node that answered is not of the invited mesh; nothing secret was sent.'),

  MEMBER_UNKNOWN: failed(-32602, 'pmesh member list shows the members.'),
  MEMBER_AMBIGUOUS: usage(-32602, 'Give more characters of the name or peer id.'),
  MEMBER_FORBIDDEN: exits(12, -32020, 'Only a member with the right and a higher rank may do this.'),
  MEMBER_RECOVERY_INVALID: exits(11, -32011, 'Type the 24 words that pmesh init --recovery-key showed.'),
  MEMBER_REMOVED: exits(12, -32020, 'A removed key never returns; make a new identity and join again.'),

  PEER_ID_MISMATCH: failed(-32602, 'The node at that address has another key; compare the peer ids.'),
  PEER_ADDRESS_INVALID: usage(-32602, 'Addresses look like /ip4/192.168.1.7/tcp/4701/p2p/12D3KooW….'),
  PEER_UNREACHABLE: exits(15, -32015, 'pmesh why tells what was tried.'),
  PEER_NOT_ADMITTED: exits(12, -32020, 'Only members connect; pmesh invite create makes an invite.'),
  NETWORK_ADDRESS_IN_USE: failed(-32603, 'Another process listens there; change network.listen in config.toml.'),

  TASK_UNKNOWN: failed(-32602, 'pmesh task list shows the tasks.'),
  TASK_CLOSED: failed(-32602, 'pmesh task show tells how it ended.'),
  TASK_NO_EXECUTOR: failed(-32602, 'pmesh tool list --member shows what members offer.'),
  TASK_NOT_YOURS: exits(12, -32020, 'Only the node that submitted a task may do this.'),
  TASK_INPUT_TOO_LARGE: usage(-32602, 'Give less input, or put it into a file of the workspace.'),
  TASK_QUEUE_FULL: failed(-32014, 'Wait for earlier tasks to finish.'),
  TASK_OUTCOME_UNKNOWN: exits(13, -32013, 'Look at what was done, then pmesh task retry or pmesh task cancel.'),
  RUN_UNKNOWN: failed(-32602, 'pmesh task show lists the runs of a task.'),
  LEASE_LOST: failed(-32021, 'Another attempt has the task; this one changes nothing any more.'),

  GUARD_BLOCKED: exits(12, -32020, 'pmesh task show names the pattern and the place.'),
  POLICY_INVALID: usage(-32602, 'pmesh policy check names the place.'),
  POLICY_DENIED: exits(12, -32020, 'pmesh policy explain names the rule.'),
  JUDGE_BLOCKED: exits(12, -32020, 'pmesh task show tells what the judges said.'),

  APPROVAL_UNKNOWN: failed(-32602, 'pmesh approval list shows what waits.'),
  APPROVAL_CLOSED: failed(-32602, 'pmesh approval show tells how it ended.'),
  APPROVAL_EXPIRED: exits(15, -32015, 'No answer meant no; submit the task again.'),
  APPROVAL_FORBIDDEN: exits(12, -32020, 'Only an owner at the socket of a member with the approve right votes.'),
  APPROVAL_DIGEST_MISMATCH: exits(14, -32024, 'What is shown is not what would run; do not approve it.'),
  APPROVAL_DENIED: exits(12, -32020, 'A member denied the call.'),
  APPROVAL_WAITS: exits(13, -32013, 'pmesh approval list'),

  TOOL_UNKNOWN: usage(-32602, 'pmesh tool list shows the tools.'),
  TOOL_NAME_INVALID: usage(-32602, 'Names match ^[a-z][a-z0-9_]{0,99}$ and are not reserved.'),
  TOOL_EXISTS: failed(-32602, 'pmesh tool register --replace puts another in its place.'),
  TOOL_INPUT_INVALID: usage(-32602, 'pmesh tool show NAME prints the schema.'),
  TOOL_SCHEMA_INVALID: usage(-32602, 'Parameters are JSON Schema 2020-12 of an object, without remote references.'),
  TOOL_CODE_CHANGED: exits(14, -32024, 'The code is not the registered one; register it again.'),
  TOOL_CODE_INVALID: usage(-32602, 'The module or script cannot be loaded; see the message.'),
  TOOL_UNAVAILABLE: failed(-32603, 'pmesh doctor tells what is missing.'),
  TOOL_FAILED: failed(-32021, 'pmesh task show has the output.'),
  TOOL_TIMEOUT: exits(15, -32015, 'The call took longer than its limit.'),
  SANDBOX_UNAVAILABLE: failed(-32603, 'pmesh doctor tells what is missing.'),
  SANDBOX_FAILED: failed(-32603, 'pmesh doctor checks the sandbox.'),
  COMMAND_REFUSED: exits(12, -32020, 'pmesh policy explain command names the rule.'),
  FILE_REFUSED: exits(12, -32020, 'Only plain files inside the workspace of the run.'),
  FILE_MISSING: failed(-32602, 'file.list shows what is there.'),
  FILE_TOO_LARGE: failed(-32602, 'Read or write less at once.'),
  CALC_INVALID: usage(-32602, 'Numbers, + - * / % **, parentheses.'),
  URL_REFUSED: exits(12, -32020, 'Only http and https to public addresses, on ordinary ports.'),
  FETCH_FAILED: failed(-32021, 'The server did not answer as expected.'),
  MCP_FAILED: failed(-32021, 'pmesh doctor names the server and tells why it is away.'),

  MODEL_UNREACHABLE: exits(15, -32015, 'pmesh agent test NAME shows what the server says.'),
  MODEL_TIMEOUT: exits(15, -32015, 'pmesh agent test NAME shows what the server says.'),
  MODEL_REFUSED: failed(-32021, 'Check the credential: pmesh credential set PROVIDER api_key.'),
  MODEL_OVERLOADED: failed(-32014, 'The server limits its use; try again later.'),
  MODEL_ANSWER_INVALID: failed(-32021, 'The model did not answer in the form that was asked for.'),
  MODEL_BUDGET_USED: exits(12, -32020, 'The budget is used up; see limits in agents.toml.'),
  AGENT_UNKNOWN: usage(-32602, 'pmesh agent list shows the agents.'),
  AGENT_EXISTS: failed(-32602, 'pmesh agent remove NAME first.'),
  AGENT_INVALID: usage(-32602, 'pmesh agent show NAME prints what is configured.'),

  NODE_NOT_RUNNING: exits(10, -32010, 'pmesh node start'),
  NODE_RUNNING: failed(-32602, 'A node already runs on this home; pmesh status.'),
  NODE_STOPPING: exits(10, -32010, 'The node is stopping.'),
  SOCKET_FAILED: failed(-32603, 'Give a short path with --socket.'),
  SOCKET_EXPOSED: failed(-32603, 'The socket’s folder must be yours alone: chmod 700.'),

  RPC_PARSE_ERROR: failed(-32700, 'Send one JSON value per line.'),
  RPC_INVALID_REQUEST: failed(-32600, 'See JSON-RPC 2.0.'),
  RPC_METHOD_UNKNOWN: usage(-32601, 'pmesh rpc rpc/methods lists the methods.'),
  RPC_PARAMS_INVALID: usage(-32602, 'pmesh rpc rpc/methods shows the schema.'),
  RPC_LINE_TOO_LONG: failed(-32600, 'A line is at most 1 MiB.'),
  RPC_OVERLOADED: failed(-32014, 'Wait for earlier requests to finish.'),

  DEMO_FAILED: failed(-32603, 'Run it again with --keep and look at pmesh.log in the homes it names.')
} as const satisfies Record<string, ErrorInfo>

export type ErrorCode = keyof typeof ERRORS
