// Controls of the local socket, migrations and the machine.

import type { Mutant } from '../mutants.ts'

export const LOCAL_MUTANTS: readonly Mutant[] = [
  {
    id: 'RPC-1',
    what: 'the socket’s mode is left to the umask',
    file: 'src/rpc/rpc-server.ts',
    find: '  await chmod(path, 0o600)\n',
    replace: '  void chmod\n'
  },
  {
    id: 'RPC-1',
    what: 'a stale socket stays',
    file: 'src/rpc/socket-file.ts',
    find: '  await unlink(path).catch(',
    replace: '  await Promise.resolve(unlink).catch('
  },
  {
    id: 'RPC-1',
    what: 'the socket’s folder may be open to others',
    file: 'src/rpc/socket-file.ts',
    find: 'if ((mode & 0o077) !== 0)',
    replace: 'if ((mode & 0o000) !== 0)'
  },
  {
    id: 'RPC-1',
    what: 'a live socket is removed',
    file: 'src/rpc/socket-file.ts',
    find: '  if (await isSocketLive(path)) {\n',
    replace: '  if (await isSocketLive(path)) {\n    await unlink(path)\n'
  },
  {
    id: 'RPC-2',
    what: 'batches have no limit',
    file: 'src/rpc/rpc-connection.ts',
    find: 'messages.length > LIMITS.rpcBatchMax',
    replace: 'messages.length > 1e9'
  },
  {
    id: 'RPC-2',
    what: 'notifications are answered',
    file: 'src/rpc/rpc-connection.ts',
    find: "return request.id === undefined ? null : { jsonrpc: '2.0', id: request.id, result }",
    replace: "return { jsonrpc: '2.0', id: request.id ?? null, result }"
  },
  {
    id: 'RPC-2',
    what: 'an unknown method is an internal error',
    file: 'src/rpc/rpc-connection.ts',
    find: "throw new MeshError('RPC_METHOD_UNKNOWN'",
    replace: "throw new MeshError('INTERNAL'"
  },
  {
    id: 'RPC-2',
    what: 'ids of any type are taken',
    file: 'src/rpc/json-rpc.ts',
    find: 'if (named && !isRequestId(message.id)) return',
    replace: "if (id === '') return"
  },
  {
    id: 'RPC-2',
    what: 'the version is not looked at',
    file: 'src/rpc/json-rpc.ts',
    find: "if (message.jsonrpc !== '2.0') return",
    replace: "if (message.jsonrpc === '') return"
  },
  {
    id: 'RPC-2',
    what: 'params are not checked',
    file: 'src/rpc/rpc-connection.ts',
    find: 'if (checked.success) return checked.data\n  const issue',
    replace: 'if (checked.success || params !== null) return params ?? {}\n  const issue'
  },
  {
    id: 'RPC-3',
    what: 'requests in flight have no limit',
    file: 'src/rpc/rpc-connection.ts',
    find: 'this.#inFlight < LIMITS.rpcInFlightMax &&',
    replace: 'this.#inFlight < 1e9 &&'
  },
  {
    id: 'RPC-3',
    what: 'a reader that never reads is kept',
    file: 'src/rpc/rpc-connection.ts',
    find: 'line.length > LIMITS.rpcBacklogBytesMax',
    replace: 'line.length > 1e12'
  },
  {
    id: 'RPC-3',
    what: 'lines have no limit',
    file: 'src/rpc/line-reader.ts',
    find: 'if (this.#bytes + part.length > this.#lineBytesMax) return false',
    replace: 'if (this.#bytes + part.length > 2 ** 40) return false'
  },
  {
    id: 'RPC-3',
    what: 'clients have no limit',
    file: 'src/rpc/rpc-server.ts',
    find: 'if (connections.size >= LIMITS.rpcClientsMax) {',
    replace: 'if (connections.size >= 1e9) {'
  },
  {
    id: 'RPC-3',
    what: 'closed clients are not forgotten',
    file: 'src/rpc/rpc-server.ts',
    find: 'onClose: () => connections.delete(connection)',
    replace: 'onClose: () => undefined'
  },
  {
    id: 'RPC-3',
    what: 'a half-closed client gets no answer',
    file: 'src/rpc/rpc-server.ts',
    find: 'allowHalfOpen: true',
    replace: 'allowHalfOpen: false'
  },
  {
    id: 'RPC-4',
    what: 'a resumed subscription repeats its last event',
    file: 'src/log/arrivals.ts',
    find: 'if (base + offset > behind)',
    replace: 'if (base + offset >= behind)'
  },
  {
    id: 'RPC-4',
    what: 'a resumed subscription leaves the rest of the commit out',
    file: 'src/log/arrivals.ts',
    find: 'mark.number === position.number ? position.index : -1)',
    replace: 'mark.number === position.number ? 1e15 : -1)'
  },
  {
    id: 'RPC-4',
    what: 'subscriptions do not wait for the reader',
    file: 'src/rpc/rpc-connection.ts',
    find: 'await this.#untilDrained(signal)',
    replace: 'await null'
  },
  {
    id: 'RPC-4',
    what: 'subscriptions of one client have no limit',
    file: 'src/rpc/rpc-connection.ts',
    find: 'if (this.#subscriptions.size >= LIMITS.rpcSubscriptionsMax) {',
    replace: 'if (this.#subscriptions.size >= 1e9) {'
  },
  {
    id: 'RPC-4',
    what: 'a cursor of elsewhere is taken',
    file: 'src/log/arrivals.ts',
    find: "if (check === '' || (await markCheck(log, position.number)) !== check)",
    replace: "if (check === '')"
  },
  {
    id: 'RPC-5',
    what: 'results are not checked',
    file: 'src/rpc/rpc-connection.ts',
    find: 'if (checked.success) return checked.data\n    const places',
    replace: 'if (checked.success || result !== null) return result\n    const places'
  },
  {
    id: 'RPC-5',
    what: 'what changes the mesh is open to readers',
    file: 'src/rpc/methods.ts',
    find: "    result: appended,\n    scope: 'admin',\n    handler: (api, params) => api.memberRole",
    replace: "    result: appended,\n    scope: 'read',\n    handler: (api, params) => api.memberRole"
  },
  {
    id: 'BACKUP-1',
    what: 'no backup is made',
    file: 'src/store/migrations.ts',
    find: 'journal?.backup ?? (await backUp(store, found, options))',
    replace: "journal?.backup ?? ''"
  },
  {
    id: 'BACKUP-1',
    what: 'an interrupted migration is backed up half-way',
    file: 'src/store/migrations.ts',
    find: 'const backup = journal?.backup ?? (await',
    replace: 'const backup = (await'
  },
  {
    id: 'BACKUP-1',
    what: 'a newer store is opened',
    file: 'src/store/migrations.ts',
    find: 'if (found > schemaVersion) {',
    replace: 'if (found > schemaVersion + 100) {'
  },
  {
    id: 'BACKUP-1',
    what: 'backups copy payloads',
    file: 'src/store/schema.ts',
    find: '[RANGES.payload, RANGES.quarantine]',
    replace: '[]'
  },
  {
    id: 'BACKUP-1',
    what: 'a damaged backup is restored',
    file: 'src/store/migration-backup.ts',
    find: '    if (!stored.equals(digest.digest())) throw damaged(path)\n',
    replace: ''
  },
  {
    id: 'BACKUP-1',
    what: 'an interrupted rollback is left half-way',
    file: 'src/store/open-level-store.ts',
    find: '    await finishRollback(store, migration)\n',
    replace: ''
  },
  {
    id: 'HARD-2',
    what: 'nobody is warned as root',
    file: 'src/cli/commands/node-start.ts',
    find: 'if (context.terminal.isRoot) {',
    replace: 'if (!context) {'
  },
  {
    id: 'HARD-2',
    what: 'everybody is warned',
    file: 'src/cli/commands/node-start.ts',
    find: 'if (context.terminal.isRoot) {',
    replace: 'if (context) {'
  },
  {
    id: 'HARD-2',
    what: 'the socket’s mode is left to the umask',
    file: 'src/rpc/rpc-server.ts',
    find: '  await chmod(path, 0o600)\n',
    replace: '  void chmod\n'
  },
  {
    id: 'HARD-2',
    what: 'a further port is listened on',
    file: 'src/config/config-schema.ts',
    find: "default(['/ip4/0.0.0.0/tcp/4701'])",
    replace: "default(['/ip4/0.0.0.0/tcp/4701', '/ip4/0.0.0.0/tcp/4799'])"
  },
  {
    id: 'PRIVATE-1',
    what: 'mDNS runs although it is off',
    file: 'src/network/main-host.ts',
    find: '...(options.mdns ? { peerDiscovery:',
    replace: '...(options.mdns || privateKey !== null ? { peerDiscovery:'
  },
  {
    id: 'PRIVATE-1',
    what: 'a node opens a socket by itself',
    file: 'src/network/mesh-network.ts',
    find: '    redial.start()\n  }',
    replace:
      "    redial.start()\n    void import('node:dgram').then(({ createSocket }) => createSocket('udp4').bind(0))\n  }"
  }
]
