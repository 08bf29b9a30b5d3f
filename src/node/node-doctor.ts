// What a running node can find out about its own health. Each line that is not ok names the command that mends it.

import { statfsSync } from 'node:fs'
import { messageOf } from '../base/mesh-error.ts'
import type { MeshNode } from './create-node.ts'
import type { DoctorLine } from './node-api.ts'
import { memberStatuses, viewOf } from './node-status.ts'

/** `1 event`, `2 events`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

const FREE_BYTES_LOW = 1024 * 1024 * 1024

export function diagnoseNode(node: MeshNode): DoctorLine[] {
  return [...storeLines(node), ...networkLines(node), ...memberLines(node), ...sandboxLines(node)]
}

/** What isolates the tools here, each as its own probe found it. */
function sandboxLines(node: MeshNode): DoctorLine[] {
  if (!node.runs) return []
  const { script, wasm, command } = node.run.host.report
  const sandboxes = Object.entries({ script, wasm, command }).map(
    ([name, { available, text, advice }]): DoctorLine => ({
      section: 'sandbox',
      level: available ? 'ok' : 'warn',
      text: `${name}: ${text}`,
      hint: available ? '' : (advice ?? 'see docs/operating.md, “Sandboxes”')
    })
  )
  const servers = (node.run.host.servers?.states() ?? []).map(
    ({ name, running, tools, text }): DoctorLine => ({
      section: 'tools',
      level: running ? 'ok' : 'warn',
      text: `MCP server ${name}: ${running ? countOf(tools, 'tool') : text}`,
      hint: running ? '' : 'see [mcp] in agents.toml, and pmesh.log'
    })
  )
  return [...sandboxes, ...servers]
}

function storeLines(node: MeshNode): DoctorLine[] {
  const { log, init } = node
  const lines: DoctorLine[] = []
  if (log.failure === null) lines.push({ section: 'store', level: 'ok', text: 'writes reach the disk', hint: '' })
  else
    lines.push({
      section: 'store',
      level: 'error',
      text: `writes fail: ${log.failure}`,
      hint: `pmesh help ${log.failure}`
    })
  if (log.damaged.length > 0)
    lines.push({
      section: 'store',
      level: 'warn',
      text: `${countOf(log.damaged.length, 'chain')} reset to the last whole append; members heal the rest`,
      hint: 'pmesh log verify'
    })
  try {
    const { bavail, bsize } = statfsSync(init.paths.store)
    const free = bavail * bsize
    const text = free < 1e9 ? `${Math.floor(free / 1e6)} MB free` : `${(free / 1e9).toFixed(1)} GB free`
    if (free < FREE_BYTES_LOW)
      lines.push({ section: 'store', level: 'warn', text: `only ${text}`, hint: 'free some disk space' })
    else lines.push({ section: 'store', level: 'ok', text, hint: '' })
  } catch (error) {
    lines.push({ section: 'store', level: 'warn', text: `free disk space is unknown: ${messageOf(error)}`, hint: 'df' })
  }
  return lines
}

function networkLines(node: MeshNode): DoctorLine[] {
  const { main, door } = node.network.addresses()
  const members = [...node.log.view.members.values()].filter((member) => member.removal === null).length
  const connected = node.network.peers().length
  const lines: DoctorLine[] = [
    main.length > 0
      ? {
          section: 'network',
          level: 'ok',
          text: `main host listens on ${countOf(main.length, 'address', 'addresses')}`,
          hint: ''
        }
      : {
          section: 'network',
          level: 'warn',
          text: 'the main host listens nowhere: this node can only dial',
          hint: 'pmesh config set network.listen'
        },
    door.length > 0
      ? {
          section: 'network',
          level: 'ok',
          text: `door listens on ${countOf(door.length, 'address', 'addresses')}`,
          hint: ''
        }
      : {
          section: 'network',
          level: 'warn',
          text: 'no door: nobody can join through this node',
          hint: 'pmesh config set network.door'
        }
  ]
  if (members > 1) {
    if (connected > 0)
      lines.push({
        section: 'network',
        level: 'ok',
        text: `${connected} of ${members - 1} other members are connected`,
        hint: ''
      })
    else lines.push({ section: 'network', level: 'error', text: 'no other member is connected', hint: 'pmesh why' })
  }
  return lines
}

function memberLines(node: MeshNode): DoctorLine[] {
  const lines: DoctorLine[] = []
  for (const member of memberStatuses(viewOf(node))) {
    if (member.removed) continue
    if (member.chain === 'forked' || member.chain === 'contradicted')
      lines.push({
        section: 'members',
        level: 'error',
        text: `${member.name}: ${member.chain}`,
        hint: `pmesh why ${member.name}`
      })
    else if (member.behind > 0)
      lines.push({
        section: 'members',
        level: 'warn',
        text: `${member.name}: ${countOf(member.behind, 'event')} behind`,
        hint: `pmesh why ${member.name}`
      })
  }
  for (const [key, farMs] of node.log.farFuture) {
    lines.push({
      section: 'members',
      level: 'warn',
      text: `${node.directory.ref(key).name}: clock ${Math.round(farMs / 1000)} s ahead`,
      hint: 'set its clock by NTP'
    })
  }
  if (lines.length === 0)
    lines.push({ section: 'members', level: 'ok', text: 'every member’s log is here as far as it is known', hint: '' })
  return lines
}
