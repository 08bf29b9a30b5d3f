// Runs scenarios: node simulations/main.ts [SCENARIO…] --seed N --runs N --nodes N --trace --model. A failure prints the seed that shows it again.

import { parseArgs } from 'node:util'
import { eventLogKind } from './event-sim-log.ts'
import { SCENARIOS } from './scenarios/all.ts'
import { modelLogKind, World } from './world.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    model: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false }
  }
})

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const chosen =
  positionals.length === 0 ? SCENARIOS : SCENARIOS.filter((scenario) => positionals.includes(scenario.name))
if (chosen.length === 0) {
  print(`scenarios: ${SCENARIOS.map((scenario) => scenario.name).join(' ')}`)
  process.exitCode = 2
}

let failed = 0
for (const scenario of chosen) {
  for (let run = 0; run < Number(values.runs); run++) {
    const seed = Number(values.seed) + run
    const nodes = Number(values.nodes ?? scenario.nodes)
    const world = new World({
      seed,
      nodes,
      logKind: values.model ? modelLogKind : eventLogKind,
      ...(values.trace ? { traceLines: print } : {})
    })
    const startedMs = performance.now()
    try {
      await scenario.run(world)
      const tookMs = Math.round(performance.now() - startedMs)
      print(
        `ok   ${scenario.name} seed ${seed} nodes ${nodes}: ${Math.round(world.schedule.nowMs / 1000)} s in ${tookMs} ms, trace ${world.traceHash}`
      )
    } catch (error) {
      failed++
      print(
        `FAIL ${scenario.name} seed ${seed} nodes ${nodes}: ${error instanceof Error ? error.stack : String(error)}`
      )
      print(`     again: node simulations/main.ts ${scenario.name} --seed ${seed} --nodes ${nodes} --trace`)
    }
  }
}
if (failed > 0) process.exitCode = 1
