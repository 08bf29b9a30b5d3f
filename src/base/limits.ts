// Every limit of the program in one place, units last. docs/limits.md is generated from the comments.

const KIB = 1024
const MIB = 1024 * 1024

export const LIMITS = {
  /** Longest payload of one event after filling. Larger content is split or referenced. */
  payloadBytesMax: 65_536,
  /** Longest event type. */
  typeBytesMax: 64,
  /** Most events in one append. */
  appendEventsMax: 1024,
  /** Largest append: header bytes + 16 + payload length, summed over its events. */
  appendBytesMax: 192 * KIB,
  /** The append queue closes an append here, so that it can be gossiped whole. */
  appendBytesTarget: 32 * KIB,
  /** Appends that one fsync may carry. */
  commitAppendsMax: 32,
  /** Events waiting in the append queue before callers must wait. */
  appendQueueEventsMax: 16_384,
  /** Payload bytes waiting in the append queue before callers must wait. */
  appendQueueBytesMax: 16 * MIB,
  /** Largest sync frame: whole appends. One append always fits. */
  frameBytesMax: 256 * KIB,
  /** An inbound batch takes no further frame from here on: half of the frames in flight are written while the other half arrives. */
  ingestBatchBytesTarget: 384 * KIB,
  /** Largest inbound batch that one fsync carries. */
  ingestBatchBytesMax: MIB,
  /** Frames in flight per direction of one connection. */
  framesOpenMax: 4,
  /** A frame that is extended to the next good seal ends here: a message has room for it and its envelope. */
  frameBytesExtended: 288 * KIB - 64,
  /** Largest message on the sync stream: a frame and its envelope. */
  messageBytesMax: 288 * KIB,
  /** Largest gossip message that is looked at. */
  gossipBytesMax: 48 * KIB,
  /** Parked gossip whose predecessor is unknown, per author. */
  parkedBytesPerAuthorMax: MIB,
  /** Parked gossip in all; the oldest goes first. */
  parkedBytesMax: 16 * MIB,
  /** Certificates in a path to the founder. */
  certificatePathMax: 8,
  /** Members of one mesh, removed ones included. */
  membersMax: 4096,
  /** Bytes of one exchange of signed address records. */
  addressBookBytesMax: 60 * KIB,
  /** Addresses one member announces. */
  addressesPerMemberMax: 8,
  /** Branches one epoch-opened adopts. */
  epochBranchesMax: 8,
  /** Branches one member may witness per author and epoch. */
  branchesWitnessedMax: 4,
  /** Gap between a peer's clock and ours that is still followed. */
  clockSkewMsMax: 60_000,
  /** Least time between beacons when the head changes. */
  beaconIntervalMsMin: 5_000,
  /** Beacon interval of a quiet node. */
  beaconQuietMs: 15_000,
  /** Beacon interval of a quiet node, per member. */
  beaconQuietPerMemberMs: 500,
  /** Recovering without progress before a new epoch is opened. */
  recoveryStallMs: 60_000,
  /** Recovering of a mesh of one, or without any reachable peer and with a fitting marker. */
  recoveryAloneMs: 5_000,
  /** A fetch without progress is moved to another peer. */
  fetchStallMs: 10_000,
  /** Frontiers are exchanged this often on every connection, whatever else happens. */
  frontierIntervalMs: 10_000,
  /** Chains fetched at once over one connection. */
  fetchesPerPeerMax: 4,
  /** Chains fetched at once. */
  fetchesMax: 32,
  /** Fetches and probes that one peer may have open here; more are answered "busy". */
  servesPerPeerMax: 16,
  /** Chain keys in one page of a frontier. */
  claimsPerMessageMax: 200,
  /** Chain keys remembered of one peer's frontier: those that it has and this node lacks. */
  claimsPerPeerMax: 8192,
  /** Ends of lines in one claim. */
  tipsPerClaimMax: 16,
  /** Sequence numbers asked for in one probe of the fork search. */
  probePointsMax: 32,
  /** Rounds of one fork search. */
  probeRoundsMax: 24,
  /** Fork proofs in one message. */
  proofsPerMessageMax: 16,
  /** Faults of one peer before it is disconnected. */
  peerFaultsMax: 8,
  /** Budget for the small messages of one peer, dearer ones counting more: refilled per second, and the most at once. */
  peerMessagesPerSecond: 512,
  peerMessagesBurst: 2048,
  /** Credit is given back in pieces of at least this size. */
  creditBytesMin: 64 * KIB,
  /** Gossip may arrive out of order for this long before the gap is fetched. */
  gossipGapMs: 250,
  /** Pause after a failed fetch: doubled from the first to the last. */
  fetchRetryMsMin: 500,
  fetchRetryMsMax: 60_000,
  /** Least time between two frontiers to one peer. */
  frontierGapMsMin: 1000,
  /** Connections of the main host. */
  connectionsMax: 120,
  /** Own redial loop: longest pause. */
  redialMsMax: 60_000,
  /** One line on the local socket. */
  rpcLineBytesMax: MIB,
  /** Requests in flight of one client. */
  rpcInFlightMax: 64,
  /** Clients of the local socket. */
  rpcClientsMax: 1024,
  /** Bytes waiting for a slow reader before it is cut off. */
  rpcBacklogBytesMax: 8 * MIB,
  /** Subscriptions of one client. */
  rpcSubscriptionsMax: 16,
  /** Requests in one JSON-RPC batch. */
  rpcBatchMax: 100,
  /** Rows in one page of a list. */
  pageRowsMax: 1000,
  /** Nesting of JSON payloads. */
  jsonDepthMax: 64,
  /** Largest input of a task, largest arguments of one call: JSON text in UTF-8. */
  toolInputBytesMax: 256 * KIB,
  /** Largest result kept in events; beyond it the result is a file of the run with its hash in the log. */
  toolOutputEventBytesMax: MIB,
  /** Largest result at all: the guard reads a megabyte in about half a second, and nothing else runs meanwhile. */
  toolOutputBytesMax: 2 * MIB,
  /** Results in files that a node keeps, and their bytes together; the oldest go. */
  resultFilesMax: 64,
  resultFilesBytesMax: 256 * MIB,
  /** What a model or a person sees of one result at once; a note tells of the rest. */
  toolOutputShownBytesMax: 32 * KIB,
  /** Time of one call unless its tool says less. */
  toolTimeMsMax: 30_000,
  /** A tool that does not end at its own limit is left behind after this. */
  toolGraceMs: 3_000,
  /** Memory of one call. */
  toolMemoryBytesMax: 512 * MIB,
  /** Processes of one call. */
  toolProcessesMax: 64,
  /** Largest file that a call writes. */
  toolFileBytesMax: 64 * MIB,
  /** Bytes that one run leaves in its workspace. */
  workspaceBytesMax: 256 * MIB,
  /** Folders under each other in a workspace. */
  workspaceDepthMax: 64,
  /** Files in a workspace that are tracked; a workspace with more is refused. */
  workspaceFilesMax: 20_000,
  /** Longest expression of calc, in characters. */
  calcTextMax: 2048,
  /** Nesting of an expression of calc. */
  calcDepthMax: 64,
  /** Digits of a whole number in calc, on the way and at the end: a product of two of them takes microseconds. */
  calcDigitsMax: 10_000,
  /** Digits of a denominator in calc: reducing a fraction of that size takes a millisecond. */
  calcDenominatorDigitsMax: 1000,
  /** Largest exponent in calc. */
  calcExponentMax: 10_000,
  /** Digits that calc shows of a quotient that does not end. */
  calcQuotientDigits: 40,
  /** Path of a file tool, in bytes of UTF-8, and of one of its parts. */
  filePathBytesMax: 1024,
  fileNameBytesMax: 255,
  /** Folders under each other that file.list enters, and entries that it shows. */
  fileListDepthMax: 16,
  fileListEntriesMax: 2000,
  /** Largest file that file.edit takes. */
  fileEditBytesMax: 8 * MIB,
  /** Body of one answer from the web that is read whole. */
  webBodyBytesMax: 8 * MIB,
  /** Body that the fetch tool reads: escaped as JSON, at most six times as long, it fits into a tool's output. */
  fetchBodyBytesMax: MIB,
  /** Headers that the fetch tool sends. */
  fetchHeadersMax: 32,
  /** Bytes of one streamed answer: a model's, an MCP server's. */
  webStreamBytesMax: 64 * MIB,
  /** Body of one request to the web that a tool sends. */
  webRequestBytesMax: 256 * KIB,
  /** Redirects that are followed. */
  webRedirectsMax: 5,
  /** Looking a name up, and connecting to one of its addresses. */
  webConnectMs: 10_000,
  /** Addresses of one name that are tried. */
  webAddressesMax: 8,
  /** Origins with open connections, per guard, and connections to each. */
  webOriginsMax: 64,
  webConnectionsPerOriginMax: 8,
  /** MCP servers of one node. */
  mcpServersMax: 16,
  /** Tools of one MCP server that are looked at. */
  mcpToolsMax: 128,
  /** Description and schema of one MCP tool, in bytes of JSON. */
  mcpDescriptionBytesMax: 16 * KIB,
  /** One message of an MCP server over stdio. */
  mcpLineBytesMax: 8 * MIB,
  /** Starting an MCP server and listing its tools. */
  mcpStartMs: 30_000,
  /** Pause before an MCP server that ended is started again: doubled from the first to the last. */
  mcpRestartMsMin: 1000,
  mcpRestartMsMax: 60_000,
  /** Script, or WASM module, of one tool. */
  toolCodeBytesMax: MIB,
  /** JSON Schema of the arguments of a registered tool: its event has room for it. */
  toolSchemaBytesMax: 32 * KIB,
  /** Memory of one script unless its call says less. */
  scriptMemoryBytesMax: 64 * MIB,
  /** Dynamic tools of one node. */
  toolsRegisteredMax: 256,
  /** Workers that wait started for a script: a start costs more than most scripts. */
  scriptWorkersWarm: 1,
  /** Workers of scripts that live at once. */
  scriptWorkersMax: 8,
  /** An interrupted script may end by itself for this long before its worker is killed. */
  scriptGraceMs: 300,
  /** Processes that wait started for a WASM module. */
  wasmProcessesWarm: 1,
  /** Processes of WASM modules that live at once. */
  wasmProcessesMax: 4,
  /** Memory of one WASM module unless its call says less. */
  wasmMemoryBytesMax: 64 * MIB,
  /** Entries of one table of a WASM module, and tables of one module. */
  wasmTableEntriesMax: 10_000,
  wasmTablesMax: 16,
  /** Imports and exports of a WASM module, each. */
  wasmNamesMax: 1000,
  /** Files that a WASM module sees and makes, and those that it has open. */
  wasmFilesMax: 4096,
  wasmFilesOpenMax: 256,
  /** Calls that wait for a place in one sandbox; more are refused. */
  sandboxWaitersMax: 256,
  /** Runs at once on one node; others wait in the log. */
  runsMax: 8,
  /** Runs on one node that wait for an approval: they take no place of those that run. */
  runsWaitingMax: 256,
  /** Runs under way for one other member, those that wait for an approval included. */
  runsPerMemberMax: 64,
  /** Open tasks that this node submitted, and open tasks of others that it keeps at hand. */
  tasksOpenMax: 10_000,
  /** Longest life of a task that nobody has finished. */
  taskLifeMsMax: 30 * 86_400_000,
  /** Earlier tasks of a conversation whose messages a model sees, and tasks that are looked at to find them. */
  conversationTasksMax: 32,
  conversationScanMax: 1000,
  /** Announcements that are looked at to find the newest of each member. */
  announcementsReadMax: 10_000,
  /** Records of one author that say how one open task stands: runs of many calls and attempts need some thousands. */
  taskStateEventsPerAuthorMax: 8_192,
  /** Events of one author that are read of one task. */
  taskEventsPerAuthorMax: 20_000,
  /** Texts of one author that are read of one task; its input has less room. */
  taskTextBytesPerAuthorMax: 128 * MIB,
  /** Attempts of a task that are made without a person. */
  taskAttemptsMax: 3,
  /** Lease of a run; renewed at a third of it. */
  leaseMs: 60_000,
  /** Life of an approval unless the policy says less. */
  approvalLifeMs: 15 * 60_000,
  /** Longest life of an approval. */
  approvalLifeMsMax: 7 * 86_400_000,
  /** Open approvals of one run. */
  approvalsPerRunMax: 4,
  /** Steps of an agent: model calls of one run. */
  agentStepsMax: 24,
  /** Tool calls of one run. */
  runCallsMax: 64,
  /** Time of one model call. */
  modelTimeMsMax: 120_000,
  /** Tries of one model call; only what was not begun to be answered is tried again. */
  modelAttemptsMax: 3,
  /** Pause before a model call is tried again: doubled from the first to the last, or what the server asks for up to the last. */
  modelRetryMsMin: 500,
  modelRetryMsMax: 20_000,
  /** Bytes of one answer of a model server. */
  modelResponseBytesMax: 8 * MIB,
  /** Tokens of one answer of an agent's model. */
  modelOutputTokensMax: 8192,
  /** Tokens of one run of an agent, read and written, unless agents.toml says otherwise. */
  agentTokensMax: 500_000,
  /** Earlier messages of a conversation that a model is given; the newest stay. */
  agentHistoryBytesMax: 256 * KIB,
  /** Calls in a row that a run refuses before it ends: unknown tools, tools of others, invalid arguments. */
  agentRefusalsMax: 3,
  /** Time of one judge call. */
  judgeTimeMsMax: 30_000,
  /** Tokens of one answer of a judge. */
  judgeOutputTokensMax: 1024,
  /** Text of one judge call: beyond it nothing is judged, so nothing is released. */
  judgeTextBytesMax: MIB,
  /** Judge calls in flight in the process. */
  judgesInFlightMax: 4,
  /** Text that a guard looks at in one piece. */
  guardTextBytesMax: MIB,
  /** Rules in policy.toml; every call is held against all of them. */
  policyRulesMax: 1000,
  /** Longest pattern of a rule or of a tool's schema. */
  policyPatternLengthMax: 256,
  /** Shells inside shells that the check of commands follows. */
  shellDepthMax: 8,
  /** Commands in one command line that the check looks at. */
  shellCommandsMax: 256,
  /** Largest JSON Schema of a tool, as JSON text. */
  schemaBytesMax: 64 * KIB,
  /** Nesting of a JSON Schema. */
  schemaDepthMax: 32,
  /** Time to compile a schema, and to hold one argument text against it: a schema may come from a stranger. */
  schemaTimeMsMax: 1_000,
  /** Invites that are open at once. */
  invitesOpenMax: 256,
  /** Longest life of an invite. */
  inviteLifeMsMax: 30 * 86_400_000,
  /** Largest agents.toml, config.toml. */
  configBytesMax: MIB,
  /** Longest credential. */
  credentialBytesMax: 16 * KIB,
  /** Write buffer of the store: what a crash leaves to be replayed at the next open. */
  storeWriteBufferBytes: 8 * MIB,
  /** Cache of uncompressed store blocks. */
  storeCacheBytes: 32 * MIB,
  /** Compaction waits this long for readers that began before it. */
  storeReadersWaitMs: 30_000,
  /** The marker beside the store is fsynced at most this often. */
  markerIntervalMs: 1_000,
  /** Backups of schema migrations that are kept. */
  migrationBackupsMax: 3
} as const
