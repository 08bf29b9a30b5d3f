// The port of the command sandbox: one way to box a process on this machine.

import type { ControlGroup } from './control-group.ts'
import type { SupervisedProcess } from './supervisor.ts'

export interface BoxRequest {
  readonly argv: readonly string[]
  /** Host path. */
  readonly workspace: string
  /** Where in the workspace the program starts: '.' or a relative path. */
  readonly folder: string
  readonly environment: Readonly<Record<string, string>>
  /** Relative paths in the workspace that are read-only, and folders that must keep their place. */
  readonly readOnly: readonly string[]
  readonly pinned: readonly string[]
  /** Absolute host paths that the program may read, at the same place. */
  readonly readable: readonly string[]
  readonly limits: BoxLimits
}

export interface StartedBox {
  readonly process: SupervisedProcess
  /** Once it has ended: false when the box could not be set up, so that nothing ran in it. */
  readonly begun: () => boolean
}

/** One way to box a process. */
export interface BoxBackend {
  /** `bubblewrap 0.8.0 + seccomp` */
  readonly text: string
  readonly profile: string
  /** SANDBOX_FAILED when it cannot be started. */
  start(request: BoxRequest, group: ControlGroup | null): Promise<StartedBox>
  /** Where the program finds a workspace. */
  inside(workspace: string): string
  close(): Promise<void>
}

export interface BoxLimits {
  readonly processes: number
  readonly fileBytes: number
  /** Of one process; null: no limit. */
  readonly addressBytes: number | null
  readonly cpuSeconds: number | null
}
