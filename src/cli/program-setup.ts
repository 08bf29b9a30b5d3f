// Commands that set a machine up and look into it: init, node, join, invites, credentials, config, doctor, help.

import { type Command, Option } from 'commander'
import type { Define } from './define-command.ts'
import { parseDuration, repeatable } from './option-parsers.ts'

const ROLES = ['observer', 'member', 'admin']

/** init, node, invite, join, credential. */
export function addSetupCommands(program: Command, define: Define): void {
  program.commandsGroup('Setup:')
  define(
    program,
    'init',
    'make the identity and found a mesh of one',
    async () => (await import('./commands/init.ts')).initHome
  )
    .option('--name <name>', 'name of this node')
    .option('--mesh-name <name>', 'name of the mesh')
    .option('--recovery-key', 'make a key that can name another founder; it is shown once')
    .addOption(new Option('--seal <method>', 'what seals the keys').choices(['key-file', 'passphrase', 'keyring']))
  addNodeCommands(program, define)
  addInviteCommands(program, define)
  addCredentialCommands(program, define)
}

function addNodeCommands(program: Command, define: Define): void {
  const node = program.command('node').description('the node of this machine')
  define(
    node,
    'start',
    'run the node until Ctrl-C',
    async () => (await import('./commands/node-start.ts')).startNodeCommand
  )
    .addOption(repeatable('--bootstrap <multiaddr...>', 'members to dial first'))
    .addOption(repeatable('--listen <multiaddr...>', 'where members connect'))
    .addOption(repeatable('--door <multiaddr...>', 'where joiners connect'))
    .option('--no-mdns', 'do not look for members on the local network')
    .option('--psk-file <file>', 'pre-shared key that keeps strangers out')
    .option('--recover-now', 'open a new epoch at once instead of waiting for the own log from peers')
  define(node, 'stop', 'stop the running node', async () => (await import('./commands/node-stop.ts')).stopNode)
  define(
    node,
    'wait',
    'wait until the node accepts appends',
    async () => (await import('./commands/node-wait.ts')).waitForNode
  )
  define(
    node,
    'recover',
    'end recovery now: open a new epoch without waiting for peers',
    async () => (await import('./commands/node-recover.ts')).recoverNode
  )
}

function addInviteCommands(program: Command, define: Define): void {
  const invite = program.command('invite').description('let another node in')
  define(
    invite,
    'create',
    'make an invite for one node',
    async () => (await import('./commands/invite-create.ts')).createInvite
  )
    .addOption(new Option('--role <role>', 'what the node will be').choices(ROLES).default('member'))
    .option('--name <name>', 'note for yourself: whom the invite is for', '')
    .option('--expires <duration>', 'how long it may be used: 30m, 2h, 7d', parseDuration)
  define(invite, 'list', 'invites of this node', async () => (await import('./commands/invite-list.ts')).listInvites)
  define(
    invite,
    'revoke <id>',
    'make an open invite worthless',
    async () => (await import('./commands/invite-revoke.ts')).revokeInvite
  )
  define(
    program,
    'join <line...>',
    'enter the mesh of an invite; - reads the line from stdin',
    async () => (await import('./commands/join.ts')).joinCommand
  ).option('--name <name>', 'name of this node')
}

function addCredentialCommands(program: Command, define: Define): void {
  const credential = program.command('credential').description('sealed keys of providers in agents.toml')
  define(
    credential,
    'set <provider> [field]',
    'seal a value, typed hidden or piped to stdin (field: api_key)',
    async () => (await import('./commands/credential-set.ts')).setCredential
  )
  define(
    credential,
    'list',
    'places of credentials, never values',
    async () => (await import('./commands/credential-list.ts')).listCredentials
  )
  define(
    credential,
    'rotate',
    'a new sealing key for everything at rest',
    async () => (await import('./commands/credential-rotate.ts')).rotateCredentials
  )
  define(
    credential,
    'remove <provider> [field]',
    'drop a value',
    async () => (await import('./commands/credential-remove.ts')).removeCredential
  )
}

/** doctor, config, paths, and what is for trying. */
export function addInspectCommands(program: Command, define: Define): void {
  program.commandsGroup('Inspect:')
  define(
    program,
    'doctor',
    'check this machine and the node',
    async () => (await import('./commands/doctor.ts')).runDoctor
  ).option('--fix', 'mend what is safe to mend')
  const config = program.command('config').description('settings in config.toml')
  define(
    config,
    'show',
    'every setting, its value and where it comes from',
    async () => (await import('./commands/config-show.ts')).showConfig
  )
  define(config, 'get <key>', 'one value', async () => (await import('./commands/config-get.ts')).getConfig)
  define(
    config,
    'set <key> <value>',
    'write one value to the file',
    async () => (await import('./commands/config-set.ts')).setConfig
  )
  define(
    config,
    'check',
    'read the files and say what is wrong',
    async () => (await import('./commands/config-check.ts')).checkConfig
  )
  define(program, 'paths', 'where everything lies', async () => (await import('./commands/paths.ts')).showPaths)
  program.commandsGroup('Try:')
  define(
    program,
    'demo',
    'three nodes on this machine, from nothing to a verified log',
    async () => (await import('./commands/demo-command.ts')).demoCommand
  )
    .option('--input <file>', 'append these JSON lines')
    .option('--keep', 'leave the mesh running')
  define(
    program,
    'rpc <method> [json]',
    'call a method of the local socket; - reads params from stdin',
    async () => (await import('./commands/rpc.ts')).callRpc
  )
  define(
    program,
    'completion',
    'print a completion script',
    async () => (await import('./commands/completion.ts')).printCompletion
  ).argument('<shell>', 'bash, zsh, fish or powershell')
  define(
    program,
    'help [topic...]',
    'a command, an error code, or approvals|environment|exit-codes|files|policy|security',
    async () => (await import('./commands/help.ts')).showHelp
  )
}
