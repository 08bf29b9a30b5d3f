// Commands about the others: peers, members, identity.

import type { Command } from 'commander'
import type { Define } from './define-command.ts'

/** peer, member, identity. */
export function addMeshCommands(program: Command, define: Define): void {
  program.commandsGroup('Mesh:')
  const peer = program.command('peer').description('connections')
  define(peer, 'list', 'open connections', async () => (await import('./commands/peer-list.ts')).listPeers)
  define(
    peer,
    'connect <multiaddr...>',
    'connect to a member at the first address that answers',
    async () => (await import('./commands/peer-connect.ts')).connectPeer
  )
  define(
    peer,
    'ping <member>',
    'time to a member and back',
    async () => (await import('./commands/peer-ping.ts')).pingPeer
  )
  const member = program.command('member').description('who is in')
  define(
    member,
    'list',
    'members, this node first',
    async () => (await import('./commands/member-list.ts')).listMembers
  )
  define(
    member,
    'show <member>',
    'one member in full',
    async () => (await import('./commands/member-show.ts')).showMember
  )
  define(
    member,
    'remove <member>',
    'remove a member; its key never returns',
    async () => (await import('./commands/member-remove.ts')).removeMember
  ).option('--yes', 'do not ask')
  define(
    member,
    'role <member> <role>',
    'observer, member or admin',
    async () => (await import('./commands/member-role.ts')).changeRole
  )
  const founder = program.command('founder').description('who founded the mesh')
  define(
    founder,
    'name',
    'name this node the founder by the 24 recovery words, read from a prompt or stdin',
    async () => (await import('./commands/founder-name.ts')).nameFounder
  ).option('--yes', 'do not ask')
  addIdentityCommands(program, define)
}

function addIdentityCommands(program: Command, define: Define): void {
  const identity = program.command('identity').description('the key of this node')
  define(
    identity,
    'show',
    'peer id and fingerprint',
    async () => (await import('./commands/identity-show.ts')).showIdentity
  )
  define(
    identity,
    'backup <file>',
    'the key and the mesh record in one file, sealed by a passphrase',
    async () => (await import('./commands/identity-backup.ts')).backUpIdentity
  )
  define(
    identity,
    'restore <file>',
    'put a backup into a home without identity',
    async () => (await import('./commands/identity-backup.ts')).restoreIdentityBackup
  )
  define(
    identity,
    'claim',
    'make this instance the writer of an identity that is in use twice',
    async () => (await import('./commands/identity-claim.ts')).claimIdentity
  )
}
