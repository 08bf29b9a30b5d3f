import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Prng, prng } from '../../simulations/prng.ts'
import { readTaskEvents } from '../../src/task/task-events.ts'
import { foldTask } from '../../src/task/task-fold.ts'
import { verify } from '../log/log-kit.ts'
import { TaskMesh, type TaskNode, turns } from './task-kit.ts'

const NAMES = ['alice', 'bob', 'carol', 'dave'] as const
const STEPS = 60
const FINAL = new Set(['done', 'failed', 'blocked', 'denied', 'expired', 'cancelled', 'interrupted', 'unknown'])

interface Submitted {
  readonly id: string
  readonly text: string
}

async function vote(node: TaskNode, random: Prng): Promise<void> {
  for (const request of await node.engine.approvals(false)) {
    if (!request.mayVote || !random.chance(0.6)) continue
    const { digest } = await node.engine.approval(request.id)
    await node.engine.approvalVote(request.id, random.chance(0.8) ? 'approve' : 'deny', digest).catch(() => undefined)
  }
}

async function step(mesh: TaskMesh, random: Prng, tasks: Submitted[]): Promise<void> {
  const node = mesh.node(random.pick(NAMES))
  const other = random.pick(NAMES.filter((name) => name !== node.name))
  switch (random.below(10)) {
    case 0:
    case 1: {
      if (!node.up) return
      const text = `job ${random.fraction()}`
      const on = random.chance(0.3) ? null : random.pick(NAMES)
      const submitted = await node.submit(text, { on, expiresInMs: 3_600_000 }).catch(() => null)
      if (submitted !== null) tasks.push({ id: submitted.id, text })
      return
    }
    case 2:
      return mesh.cut(node.name, other)
    case 3:
      return mesh.heal(node.name, other)
    case 4:
      if (node.up) node.crashAt = { append: node.appends + random.below(3), when: random.pick(['before', 'after']) }
      return
    case 5:
      if (!node.up) await node.restart()
      return
    case 6:
      return node.up ? vote(node, random) : undefined
    case 7:
      // The wall clock is set, or the machine was suspended.
      node.clock.skewMs = random.below(100_000) - 50_000
      return
    case 8:
      if (node.up) mesh.beacon(node.name)
      return
    default:
      return mesh.pass(random.below(40_000))
  }
}

/** Everything is whole again, votes are cast, and enough time passes. */
async function calm(mesh: TaskMesh, tasks: readonly Submitted[]): Promise<void> {
  for (const node of mesh.nodes.values()) {
    node.crashAt = null
    node.whileRunning = async () => undefined
    if (!node.up) await node.restart()
  }
  for (const a of NAMES) for (const b of NAMES) if (a < b) await mesh.heal(a, b)
  const ended = async (): Promise<boolean> => {
    for (const name of NAMES) {
      mesh.beacon(name)
      await vote(mesh.node(name), prng(1, 'calm'))
    }
    for (const { id } of tasks)
      if (
        !FINAL.has(
          await mesh
            .node('alice')
            .state(id)
            .catch(() => '')
        )
      )
        return false
    return true
  }
  await mesh.until('the end of all tasks', ended, 3 * 3_600_000)
  await mesh.sync()
  await turns()
}

async function storm(seed: number): Promise<void> {
  const outside = { policy: '', tool: { tier: 'external' } } as const
  const mesh = await TaskMesh.open(Object.fromEntries(NAMES.map((name) => [name, outside])))
  const random = prng(seed, 'storm')
  const tasks: Submitted[] = []
  for (const node of mesh.nodes.values()) {
    node.whileRunning = () =>
      random.chance(0.3)
        ? new Promise((resolve) => mesh.schedule.after(random.below(90_000), resolve))
        : Promise.resolve()
  }
  for (let index = 0; index < STEPS; index++) {
    await step(mesh, random, tasks)
    await turns(random.below(12))
  }
  await calm(mesh, tasks)
  for (const { id, text } of tasks) {
    const effects = mesh.effectsOf(text)
    const folds = []
    for (const node of mesh.nodes.values())
      folds.push(foldTask(id, await readTaskEvents(node.log, Buffer.from(id, 'hex'))))
    const [fold] = folds
    assert.ok(fold, text)
    for (const other of folds) assert.deepEqual(other, fold, `${text} reads the same everywhere`)
    assert.ok(effects.length <= 1, `${text}: an effect above internal happened ${effects.length} times`)
    if (fold.state === 'done') assert.equal(effects.length, 1, `${text} is done`)
    if (['denied', 'expired'].includes(fold.state)) assert.equal(effects.length, 0, `${text} is ${fold.state}`)
  }
  for (const node of mesh.nodes.values())
    assert.equal((await verify(mesh.node('alice').log, node.key)).fault, null, node.name)
  await mesh.close()
}

for (let seed = 1; seed <= 8; seed++)
  test(`TASK-1 APPROVE-4 APPROVE-5 crashes, partitions, votes and lost time, seed ${seed}: no effect twice, everybody reads the same`, () =>
    storm(seed))
