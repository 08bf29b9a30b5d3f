import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { AgentsFile } from '../../src/config/agents-file.ts'
import { addAgent, readAgentsSection, removeAgent, splitModelName } from '../../src/config/agents-section.ts'
import { KeyRing } from '../../src/identity/seal.ts'

const LOCAL = '[providers.local]\ntype = "openai-compatible"\nbase_url = "http://127.0.0.1:1/v1/"\n'

interface Fixture {
  readonly file: AgentsFile
  text(): string
}

function agentsFile(context: TestContext, text: string): Fixture {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-agents-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'agents.toml')
  if (text !== '') writeFileSync(path, text, { mode: 0o600 })
  const file = new AgentsFile(path, new KeyRing({ id: '0a0b0c0d', bytes: new Uint8Array(32).fill(7) }))
  return { file, text: () => readFileSync(path, 'utf8') }
}

function withCode(code: string, ...texts: readonly string[]) {
  return (error: unknown): boolean => {
    assert.ok(isMeshError(error), String(error))
    assert.equal(error.code, code, error.message)
    for (const text of texts) assert.ok(error.message.includes(text), `${error.message} lacks ${text}`)
    return true
  }
}

test('agents.toml: what is left out has its default, and no file is an empty one', (context) => {
  const { file } = agentsFile(context, '')
  assert.deepEqual([...readAgentsSection(file).agents], [])
  assert.deepEqual(readAgentsSection(file).judges, {
    models: [],
    remote: [],
    budgetMicrosPerDay: null,
    budgetCallsPerDay: null
  })
  const one = agentsFile(context, `${LOCAL}[agents.a]\nprovider = "local"\nmodel = "org/model:7b"\n`)
  const section = readAgentsSection(one.file)
  const agent = section.agents.get('a')
  assert.deepEqual([agent?.tools, agent?.system, agent?.budgetMicrosPerDay], [[], '', null])
  assert.equal(section.provider('local').baseUrl, 'http://127.0.0.1:1/v1')
  assert.equal(section.provider('local').price('any'), null)
  assert.deepEqual(splitModelName('local/org/model:7b'), { provider: 'local', model: 'org/model:7b' })
})

test('agents.toml: each fault names its place', (context) => {
  const agent = (more: string): string => `${LOCAL}[agents.a]\nprovider = "local"\nmodel = "m"\n${more}\n`
  const faults: readonly (readonly [string, ...string[]])[] = [
    ['agents = 1', 'agents', 'no table'],
    [agent('max_steps = 0'), 'agents.a.max_steps'],
    [agent('max_steps = 1000'), 'agents.a.max_steps'],
    [agent('tools = "calc"'), 'agents.a.tools'],
    [agent('tools = ["../x"]'), 'agents.a.tools.0'],
    [agent('budget_micros_per_day = 1.5'), 'agents.a.budget_micros_per_day'],
    [agent('budget_micros_per_day = 5'), 'agents.a.budget_micros_per_day', 'providers.local.prices'],
    [agent('sytem = "x"'), 'agents.a', 'sytem'],
    ['[agents.a]\nprovider = "nobody"\nmodel = "m"', 'providers.nobody', 'no such'],
    ['[agents."a b"]\nprovider = "x"\nmodel = "m"', 'agents.a b'],
    [`${LOCAL}[judges]\nuse = ["local"]`, 'judges.use.0'],
    [`${LOCAL}[judges]\nuse = ["local/m"]\nbudget_micros_per_day = 1`, 'judges.budget_micros_per_day'],
    ['[judges]\nuse = ["gone/m"]', 'providers.gone'],
    [`${LOCAL}url = "x"\n[judges]\nuse = ["local/m"]`, 'providers.local', 'url'],
    ['[providers.p]\ntype = "groq"\n[judges]\nuse = ["p/m"]', 'providers.p.type'],
    ['[providers.p]\ntype = "openai-compatible"\n[judges]\nuse = ["p/m"]', 'providers.p.base_url', 'missing']
  ]
  for (const [text, ...texts] of faults)
    assert.throws(
      () => readAgentsSection(agentsFile(context, text).file, {}),
      withCode('AGENT_INVALID', ...texts),
      text
    )
})

test('a base_url is http or https and holds no credential, query or fragment', (context) => {
  for (const url of ['ftp://h/v1', 'file:///etc/passwd', 'https://u:p@h/v1', 'https://h/v1?k=1', 'https://h/#x', 'h']) {
    const text = `[providers.p]\ntype = "openai-compatible"\nbase_url = "${url}"\n[judges]\nuse = ["p/m"]`
    assert.throws(() => readAgentsSection(agentsFile(context, text).file), withCode('AGENT_INVALID', 'base_url'), url)
  }
})

test('ENV-1 references in agents.toml are put in, and an unset one is named with its place', (context) => {
  const text = `[providers.p]\ntype = "openai-compatible"\nbase_url = "\${URL}"\n[judges]\nuse = ["p/\${M:-small}"]`
  const { file } = agentsFile(context, text)
  const section = readAgentsSection(file, { URL: 'https://models.example/v1' })
  assert.equal(section.provider('p').baseUrl, 'https://models.example/v1')
  assert.deepEqual(section.judges.models, ['p/small'])
  assert.throws(() => readAgentsSection(file, {}), withCode('CONFIG_INVALID', 'providers.p.base_url', 'URL'))
})

test('the layouts of v0.1 stay readable: their tables are named as unread, their credentials still open', (context) => {
  const v01 =
    'default_model = "llama"\n[core]\nhost = "h"\n[providers.groq]\ntype = "groq"\nurl = "u"\n[agent.x]\nprovider = "groq"\n'
  const { file } = agentsFile(context, v01)
  const section = readAgentsSection(file)
  assert.deepEqual([section.agents.size, section.unread], [0, ['default_model', 'core', 'agent']])
  file.credentialSet('groq', 'api_key', 'sk-1')
  assert.equal(file.credential('groq', 'api_key'), 'sk-1')
  assert.throws(() => section.provider('groq'), withCode('AGENT_INVALID', 'providers.groq'))
})

test('agents are added and removed without touching comments or other tables', (context) => {
  const before = `# mine\n${LOCAL}# prices below\n[providers.local.prices.m] # cheap\ninput_usd_per_million = 1\noutput_usd_per_million = 2.5\n`
  const { file, text } = agentsFile(context, before)
  addAgent(file, {
    name: 'one',
    provider: 'local',
    model: 'm',
    system: 'Be "brief".\nAlways.',
    tools: ['calc', 'file.*']
  })
  assert.ok(text().startsWith(before))
  addAgent(file, { name: 'two', provider: 'local', model: 'm' })
  file.edit((now) => `${now}\n# about judges\n[judges]\nuse = ["local/m"] # one\n`)
  const section = readAgentsSection(file)
  assert.deepEqual(section.agents.get('one')?.tools, ['calc', 'file.*'])
  assert.equal(section.agents.get('one')?.system, 'Be "brief".\nAlways.')
  assert.deepEqual(section.provider('local').price('m'), { inputMicrosPerToken: 1, outputMicrosPerToken: 2.5 })
  assert.throws(() => addAgent(file, { name: 'one', provider: 'local', model: 'm' }), withCode('AGENT_EXISTS', 'one'))
  assert.throws(() => addAgent(file, { name: 'x', provider: 'gone', model: 'm' }), withCode('AGENT_INVALID', 'gone'))
  assert.throws(() => addAgent(file, { name: 'a.b', provider: 'local', model: 'm' }), withCode('AGENT_INVALID'))
  removeAgent(file, 'two')
  for (const comment of ['# mine', '# prices below', '# cheap', '# about judges', '# one'])
    assert.ok(text().includes(comment), comment)
  assert.deepEqual([...readAgentsSection(file).agents.keys()], ['one'])
  removeAgent(file, 'one')
  assert.ok(text().startsWith(before))
  assert.deepEqual(readAgentsSection(file).judges.models, ['local/m'])
  assert.throws(() => removeAgent(file, 'one'), withCode('AGENT_UNKNOWN', 'one'))
})
