// Commands of every day: the state of the node, and the log.

import { type Command, Option } from 'commander'
import type { Define } from './define-command.ts'
import { parseCount, parseTime } from './option-parsers.ts'

const memberOption = () => new Option('--member <member>', 'only this author: name, peer id or its beginning')

/** status, log, event, why. */
export function addLogCommands(program: Command, define: Define): void {
  program.commandsGroup('Everyday:')
  define(
    program,
    'status',
    'state of the node, its members and its health',
    async () => (await import('./commands/status.ts')).showStatus
  )
  const log = program.command('log').description('the replicated log')
  define(log, 'show', 'events, the newest last', async () => (await import('./commands/log-show.ts')).showLog)
    .addOption(memberOption())
    .option('--type <type>', 'only this type')
    .option('--scope <hex>', 'only this scope')
    .option('--from <time>', 'from this time on', parseTime)
    .option('--to <time>', 'up to this time', parseTime)
    .option('--limit <count>', 'events of one page', parseCount)
    .option('--oldest', 'begin with the oldest')
    .option('--cursor <cursor>', 'go on from the `next` of an earlier page')
    .option('--all', 'every page')
  define(log, 'follow', 'events as they arrive', async () => (await import('./commands/log-follow.ts')).followLog)
    .addOption(memberOption())
    .option('--type <type>', 'only this type')
    .option('--cursor <cursor>', 'go on from the cursor of an earlier event')
    .option('--count <count>', 'end after so many events', parseCount)
  define(
    log,
    'verify',
    'verify every chain from disk',
    async () => (await import('./commands/log-verify.ts')).verifyLog
  ).addOption(memberOption())
  define(log, 'heads', 'the head of every chain', async () => (await import('./commands/log-heads.ts')).showHeads)
  define(
    log,
    'export <file>',
    'write all chains to a new file',
    async () => (await import('./commands/log-export.ts')).exportLog
  )
    .addOption(memberOption())
    .option('--force', 'over an existing file')
  define(
    log,
    'replay <run>',
    'the deterministic stages of TASK or TASK.ATTEMPT again; no effect is repeated',
    async () => (await import('./commands/log-replay.ts')).replayRun
  )
  const event = program.command('event').description('write to the log')
  define(
    event,
    'append <type> [json]',
    'append an app-… event; without JSON or with - one event per line of stdin',
    async () => (await import('./commands/event-append.ts')).appendEvents
  )
    .option('--scope <hex>', '32 hex characters that group events')
    .option('--batch', 'only the summary, no line per event')
  define(
    program,
    'why [member]',
    'why a member is not in sync',
    async () => (await import('./commands/why.ts')).explainWhy
  )
}
