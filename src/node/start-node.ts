// Starts the node of a home in this process: identity, mesh, node, and the local API on top. A fresh home becomes a mesh of one.

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { equalBytes, tryParseHex } from '../base/bytes.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import { type Config, loadConfig, setConfigValue } from '../config/config-file.ts'
import { type HomePaths, prepareHome } from '../config/paths.ts'
import { type Identity, openOrCreateIdentity } from '../identity/identity-store.ts'
import { parseInvite } from '../identity/invite.ts'
import { loadMeshFile, type MeshFile, meshFile, saveMeshFile } from '../identity/mesh-file.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import { createNode, type MeshNode } from './create-node.ts'
import { type FileLogger, openFileLogger } from './file-logger.ts'
import { foundMesh } from './found-mesh.ts'
import { assertMayLeave, enterMesh, joinResult, requestAdmission } from './join-mesh.ts'
import type { NodeApi } from './node-api.ts'
import { createNodeService, type NodeRuntime } from './node-service.ts'
import { openToolHost, type ToolHost } from './tool-host.ts'

export interface StartOptions {
  readonly home: HomePaths
  readonly flags: StartFlags
  /** Where the local socket is, for status. */
  readonly socket: string
  readonly passphrase?: string
  /** Lines for a person: what was made, what is waited for. */
  readonly onEvent?: (line: string) => void
}

export interface StartFlags {
  readonly bootstrap?: readonly string[]
  readonly listen?: readonly string[]
  readonly door?: readonly string[]
  readonly mdns?: boolean
  readonly pskFile?: string
  readonly recoverNow?: boolean
  readonly crowded?: boolean
}

export interface StartedNode {
  readonly api: NodeApi
  readonly logger: FileLogger
  /** Stops the node; the same as `node/stop`. */
  stop(): Promise<void>
  /** Resolves when the node has stopped, whoever asked for it. */
  readonly done: Promise<void>
}

const MESH_NAME = 'home'
const JOIN_TIMEOUT_MS = 60_000

export async function startNode(options: StartOptions): Promise<StartedNode> {
  const { home, flags } = options
  const say = options.onEvent ?? (() => undefined)
  prepareHome(home)
  const config = loadConfig(home.config, { flags: configFlags(flags) })
  const { seal } = config.values.identity
  const unlock = options.passphrase === undefined ? {} : { passphrase: options.passphrase }
  const identity = await openOrCreateIdentity(home, { seal, ...unlock })
  if (identity.created) say(`made an identity: ${peerIdOf(identity.key.publicKey)}`)
  const logger = await openFileLogger(home.logFile, config.values.log.level)
  try {
    let mesh = loadMeshFile(home, identity.keyRing.ring)
    if (mesh === null) {
      mesh = await foundMesh({ paths: home, identity, name: MESH_NAME, recovery: null, logger })
      say(`founded the mesh ${mesh.preimage.name}`)
    }
    const process = new NodeProcess(options, config, identity, logger)
    try {
      await process.start(mesh)
    } catch (error) {
      await process.closeTools()
      throw error
    }
    if (flags.recoverNow === true) process.node.shell.step({ kind: 'override' })
    const stop = (): Promise<void> => process.shutDown()
    return { api: createNodeService(process), logger, stop, done: process.done }
  } catch (error) {
    await logger.close()
    throw error
  }
}

function configFlags(flags: StartFlags): Record<string, unknown> {
  return {
    ...(flags.listen === undefined ? {} : { 'network.listen': flags.listen }),
    ...(flags.door === undefined ? {} : { 'network.door': flags.door }),
    ...(flags.mdns === undefined ? {} : { 'network.mdns': flags.mdns })
  }
}

/** Runs one node at a time; a join stops it and starts another in the joined mesh. */
class NodeProcess implements NodeRuntime {
  readonly #options: StartOptions
  readonly #identity: Identity
  readonly #logger: FileLogger
  readonly #finished = Promise.withResolvers<void>()
  #config: Config
  #node: MeshNode | null = null
  #stopping: Promise<void> | null = null
  #joining = false
  #tools: ToolHost | null = null

  constructor(options: StartOptions, config: Config, identity: Identity, logger: FileLogger) {
    this.#options = options
    this.#config = config
    this.#identity = identity
    this.#logger = logger
  }

  get done(): Promise<void> {
    return this.#finished.promise
  }

  get node(): MeshNode {
    if (this.#node === null) throw new MeshError('NODE_STOPPING', 'the node is changing its mesh or stopping')
    return this.#node
  }

  get socket(): string {
    return this.#options.socket
  }

  get sealedBy(): string {
    return this.#identity.keyRing.seal
  }

  async start(mesh: MeshFile): Promise<void> {
    const { home, flags } = this.#options
    const psk = flags.pskFile === undefined ? undefined : readPsk(flags.pskFile)
    if (psk !== undefined && mesh.psk === undefined) this.#rememberPsk(mesh, psk)
    const { values } = this.#config
    const config =
      values.node.name === '' ? { ...values, node: { ...values.node, name: hostname().slice(0, 64) } } : values
    const { keyRing } = this.#identity
    this.#tools ??= await openToolHost({ paths: home, config, keyRing: keyRing.ring, logger: this.#logger })
    const node = await createNode({
      paths: home,
      tools: this.#tools,
      identity: this.#identity,
      mesh,
      config,
      bootstrap: [...(flags.bootstrap ?? []), ...values.network.bootstrap],
      logger: this.#logger,
      ...(psk === undefined ? {} : { psk }),
      ...(flags.crowded === undefined ? {} : { crowded: flags.crowded })
    })
    try {
      await node.start()
    } catch (error) {
      await node.stop()
      throw error
    }
    this.#node = node
    this.#logger.info('node started', { mesh: mesh.preimage.name })
  }

  /** Sealed beside the mesh's record: later starts and invites use it without the file. */
  #rememberPsk(mesh: MeshFile, psk: Uint8Array): void {
    const { preimage, path, meshSecret, joinedVia, bootstrap, namedFounder } = mesh
    const fields = { preimage, path, meshSecret, bootstrap, psk }
    const optional = {
      ...(joinedVia === undefined ? {} : { joinedVia }),
      ...(namedFounder === undefined ? {} : { namedFounder })
    }
    saveMeshFile(this.#options.home, this.#identity.keyRing.ring, meshFile({ ...fields, ...optional }))
  }

  /** Ends every sandboxed process. */
  async closeTools(): Promise<void> {
    const tools = this.#tools
    this.#tools = null
    await tools?.close()
  }

  shutDown(): Promise<void> {
    this.#stopping ??= this.#shutDown()
    return this.#stopping
  }

  async #shutDown(): Promise<void> {
    const node = this.#node
    this.#node = null
    try {
      await node?.stop()
      this.#logger.info('node stopped')
    } catch (error) {
      this.#logger.error('the node did not stop in order', { message: messageOf(error) })
    }
    await this.closeTools()
    await this.#logger.close()
    this.#finished.resolve()
  }

  async join(line: string, name: string | null): ReturnType<NodeApi['join']> {
    const invite = parseInvite(line)
    const { key, keyRing } = this.#identity
    const { home } = this.#options
    if (this.#joining) throw new MeshError('MESH_ALREADY_MEMBER', 'a join is running')
    this.#joining = true
    try {
      const node = this.node
      const left = node.init.mesh
      if (equalBytes(left.meshId, invite.mesh))
        throw new MeshError('MESH_ALREADY_MEMBER', 'this node is a member of that mesh already', {
          hint: 'pmesh status'
        })
      assertMayLeave(node.log)
      const signal = AbortSignal.timeout(JOIN_TIMEOUT_MS)
      const ownName = name ?? node.directory.own.record.name
      const mesh = await requestAdmission(invite, key, ownName, signal, this.#logger)
      if (name !== null) {
        setConfigValue(home.config, 'node.name', name)
        this.#config = loadConfig(home.config, { flags: configFlags(this.#options.flags) })
      }
      this.#node = null
      await node.stop()
      enterMesh(home, { key, keyRing }, left, mesh)
      await this.start(mesh)
      return joinResult(invite, key)
    } finally {
      this.#joining = false
    }
  }
}

/** 64 characters of hex in a file of the owner's: the mesh's pre-shared key. */
function readPsk(file: string): Uint8Array {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (cause) {
    throw new MeshError('CONFIG_INVALID', 'cannot read the pre-shared key', {
      details: { file },
      cause,
      hint: 'Give a file with 64 characters of hex.'
    })
  }
  const psk = tryParseHex(text, 32)
  if (psk === null)
    throw new MeshError('CONFIG_INVALID', 'the pre-shared key is not 64 characters of hex', {
      details: { file },
      hint: 'openssl rand -hex 32'
    })
  return psk
}
