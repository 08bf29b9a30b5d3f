// Controls of calc, the file tools, outgoing requests and MCP servers.

import type { Mutant } from '../mutants.ts'

export const TOOLS_MUTANTS: readonly Mutant[] = [
  {
    id: 'CALC-1',
    what: 'a sign binds stronger than a power',
    file: 'src/tools/calc-expression.ts',
    find: "return this.#take('**') ? this.#compute(at, power, base, this.#signed()) : base",
    replace: "return this.#take('**') ? this.#compute(at, power, base, this.#atom()) : base"
  },
  {
    id: 'CALC-1',
    what: 'exponents have no limit',
    file: 'src/tools/calc-number.ts',
    find: 'if (size > BigInt(LIMITS.calcExponentMax)) {',
    replace: 'if (size < 0n) {'
  },
  {
    id: 'CALC-1',
    what: 'nesting has no limit',
    file: 'src/tools/calc-expression.ts',
    find: 'if (this.#depth >= LIMITS.calcDepthMax)',
    replace: 'if (this.#depth < 0)'
  },
  {
    id: 'FILE-1',
    what: 'an opened file is not checked by the kernel’s name of it',
    file: 'src/tools/pinned-place.ts',
    find: 'if (actual !== place) throw',
    replace: 'if (actual === undefined) throw'
  },
  {
    id: 'FILE-1',
    what: 'look-alikes of dots and slashes are names',
    file: 'src/tools/workspace-path.ts',
    find: "return plain !== '..' && ",
    replace: "return part !== '..' || "
  },
  {
    id: 'FILE-1',
    what: 'hard links are followed',
    file: 'src/tools/workspace-files.ts',
    find: "hardlinks: 'reject'",
    replace: "hardlinks: 'allow'"
  },
  {
    id: 'FILE-1',
    what: 'the workspace has no quota',
    file: 'src/tools/workspace-files.ts',
    find: 'if (bytes > LIMITS.workspaceBytesMax) throw',
    replace: 'if (bytes < 0) throw'
  },
  {
    id: 'FILE-1',
    what: 'what root makes stays root’s',
    file: 'src/tools/workspace-files.ts',
    find: 'await handle.chown(this.#owner.uid, this.#owner.gid)',
    replace: 'await handle.stat()'
  },
  {
    id: 'TRACK-1',
    what: 'the hash before a change is not told',
    file: 'src/tools/workspace-files.ts',
    find: 'before: old?.hash ?? null,',
    replace: 'before: null,'
  },
  {
    id: 'TRACK-1',
    what: 'reads are not told',
    file: 'src/tools/workspace-files.ts',
    find: "this.#call.record({ operation: 'read', path, size, before: hash, after: hash })",
    replace: 'if (hash === path) return content'
  },
  {
    id: 'SSRF-1',
    what: 'ISATAP addresses are what their prefix says',
    file: 'src/base/address-class.ts',
    find: "if ((prefix & 0xffff_ffffn & ~0x0200_0000n) === ISATAP) return 'tunnel'",
    replace: "if (prefix < 0n) return 'tunnel'"
  },
  {
    id: 'SSRF-1',
    what: 'mapped and NAT64 addresses are not looked into',
    file: 'src/base/address-class.ts',
    find: 'if (prefix === MAPPED || prefix === NAT64) return classIn(RANGES_4, inner)',
    replace: "if (prefix === MAPPED || prefix === NAT64) return 'public'"
  },
  {
    id: 'SSRF-1',
    what: 'a dot at the end makes another name',
    file: 'src/web/url-guard.ts',
    find: "if (parsed.hostname.endsWith('.')) parsed.hostname = parsed.hostname.replace(/\\.+$/, '')",
    replace: ''
  },
  {
    id: 'SSRF-1',
    what: 'other schemes pass',
    file: 'src/web/url-guard.ts',
    find: "if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw",
    replace: "if (parsed.protocol === 'file:') throw"
  },
  {
    id: 'SSRF-2',
    what: 'only the first address of a name is judged',
    file: 'src/web/url-guard.ts',
    find: 'for (const address of found) {',
    replace: 'for (const address of found.slice(0, 1)) {'
  },
  {
    id: 'SSRF-2',
    what: 'the connection looks the name up once more',
    file: 'src/web/guarded-connection.ts',
    find: 'return await connectTo({ ...options, hostname })',
    replace: 'return await connectTo({ ...options, localAddress: hostname.slice(0, 0) || null })'
  },
  {
    id: 'SSRF-3',
    what: 'where a redirect leads is not judged before it is followed',
    file: 'src/web/guarded-fetch.ts',
    find: 'const next = guard.check(target)',
    replace: 'const next = target'
  },
  {
    id: 'SSRF-3',
    what: 'redirects have no end',
    file: 'src/web/guarded-fetch.ts',
    find: 'if (hops >= LIMITS.webRedirectsMax)',
    replace: 'if (hops >= 50)'
  },
  {
    id: 'SSRF-3',
    what: 'credentials follow redirects',
    file: 'src/web/guarded-fetch.ts',
    find: 'if (from.origin !== to.origin) {',
    replace: 'if (from.origin === null) {'
  },
  {
    id: 'SSRF-3',
    what: 'the fetch tool follows redirects to hosts that no rule saw',
    file: 'src/tools/fetch-tool.ts',
    find: 'sameHost: true',
    replace: 'sameHost: false'
  },
  {
    id: 'SSRF-3',
    what: 'user names in URLs pass',
    file: 'src/web/url-guard.ts',
    find: "if (parsed.username !== '' || parsed.password !== '') throw",
    replace: 'if (parsed.username === parsed.host) throw'
  },
  {
    id: 'SSRF-3',
    what: 'every port passes',
    file: 'src/web/url-guard.ts',
    find: 'if (!isNamed && !PORTS.has(portOf(parsed))) throw',
    replace: 'if (portOf(parsed) === null) throw'
  },
  {
    id: 'SSRF-4',
    what: 'peers advertise loopback',
    file: 'src/network/peer-address-guard.ts',
    find: "  'loopback',",
    replace: ''
  },
  {
    id: 'SSRF-4',
    what: 'the fetch for libraries does not judge',
    file: 'src/web/guarded-fetch.ts',
    find: 'let url = guard.check(first)',
    replace: 'let url = new URL(first)'
  },
  {
    id: 'TOOL-1',
    what: 'the hash of an MCP tool leaves its description out',
    file: 'src/tools/mcp-tool.ts',
    find: 'schema: tool.inputSchema, description }',
    replace: 'schema: tool.inputSchema }'
  },
  {
    id: 'TOOL-1',
    what: 'an MCP tool runs although its server describes it otherwise now',
    file: 'src/tools/mcp-tool.ts',
    find: 'if (host.hashNow(descriptor.name) !== descriptor.hash) {',
    replace: 'if (descriptor.hash === null) {'
  },
  {
    id: 'TOOL-2',
    what: 'names of tools are not looked at',
    file: 'src/tools/tool-box.ts',
    find: 'return pattern.test(read.data.name)',
    replace: 'return pattern !== null'
  },
  {
    id: 'TOOL-3',
    what: 'arguments of built-ins are not read by their schema',
    file: 'src/tools/builtin-tool.ts',
    find: 'if (read.success) return read.data\n',
    replace: 'if (read.success || schema !== null) return args as Arguments\n'
  },
  {
    id: 'TOOL-3',
    what: 'results of MCP servers are not bounded',
    file: 'src/tools/mcp-tool.ts',
    find: 'output: output.subarray(0, outputBytes),',
    replace: 'output,'
  },
  {
    id: 'SCHEMA-1',
    what: 'regular expressions of MCP servers are compiled',
    file: 'src/tools/mcp-tool-schema.ts',
    find: 'if (LEFT_OUT.has(key)) continue',
    replace: "if (key === '') continue"
  },
  {
    id: 'SANDBOX-2',
    what: 'an MCP server goes on with a call whose time is over',
    file: 'src/tools/mcp-tool.ts',
    find: '  await connection.close()\n',
    replace: ''
  },
  {
    id: 'SANDBOX-2',
    what: 'MCP servers outlive the node',
    file: 'src/tools/mcp-servers.ts',
    find: '        await connection.close()\n      }\n    } catch',
    replace: '      }\n    } catch'
  }
]
