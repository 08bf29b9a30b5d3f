import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentsFile } from '../../src/config/agents-file.ts'
import { readMcpSection } from '../../src/config/mcp-section.ts'
import { parseToml } from '../../src/config/toml-document.ts'

function read(text: string) {
  const file = { path: 'agents.toml', readTable: () => parseToml(text, 'agents.toml') }
  return readMcpSection(file as AgentsFile)
}

test('agents.toml names MCP servers by command or by url, with tiers of their tools', () => {
  const servers = read(`
[mcp.files]
command = "mcp-files"
args = ["--root", "/workspace"]
tiers = { read_file = "read-only" }

[mcp.web]
url = "https://mcp.example.com/mcp"

[mcp.off]
command = "x"
enabled = false
`)
  assert.deepEqual(servers, [
    {
      name: 'files',
      place: { kind: 'command', argv: ['mcp-files', '--root', '/workspace'] },
      tiers: new Map([['read_file', 'read-only']])
    },
    { name: 'web', place: { kind: 'http', url: 'https://mcp.example.com/mcp' }, tiers: new Map() }
  ])
  assert.deepEqual(read(''), [])
})

test('what is not an MCP server is refused with its place', () => {
  const bad = {
    '[mcp.a]\n': /mcp\.a: needs either/,
    '[mcp.a]\ncommand = "x"\nurl = "https://x.test"\n': /mcp\.a: needs either/,
    '[mcp.a]\ncommand = "x"\nenvironment = "y"\n': /mcp\.a/,
    '[mcp.a]\nurl = "file:///etc/passwd"\n': /mcp\.a\.url/,
    '[mcp.A-B]\ncommand = "x"\n': /mcp\.A-B/,
    '[mcp.a]\ncommand = "x"\ntiers = { t = "harmless" }\n': /mcp\.a\.tiers\.t/
  }
  for (const [text, message] of Object.entries(bad)) {
    assert.throws(
      () => read(text),
      (error: Error & { code?: string }) => error.code === 'CONFIG_INVALID' && message.test(error.message)
    )
  }
  const many = Array.from({ length: 17 }, (_, index) => `[mcp.s${index}]\ncommand = "x"\n`).join('')
  assert.throws(() => read(many), { code: 'CONFIG_INVALID' })
})
