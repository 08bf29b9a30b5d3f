// Requests between members about tasks, as JSON (PROTOCOL §14). What does not fit is the sender's fault and is answered with a code.

import { z } from 'zod'

const task = z.string().regex(/^[0-9a-f]{32}$/)
const nonce = z.string().regex(/^[0-9a-f]{32}$/)
const milliseconds = z.int().min(0)
const attempt = z.int().min(1).max(0xffff_ffff)

export const TASK_REQUESTS = {
  /** An executor wants the task. `sentMs`: its wall clock at sending. */
  'task/claim': z.strictObject({ task, nonce, sentMs: milliseconds }),
  'task/renew': z.strictObject({ task, attempt, sentMs: milliseconds }),
  /** The submitter tells members that a task may be claimed again. */
  'task/offer': z.strictObject({ task })
} as const

export type TaskRequest<Method extends keyof typeof TASK_REQUESTS> = z.output<(typeof TASK_REQUESTS)[Method]>

export const GRANT = z.strictObject({ attempt, leaseMs: z.int().min(1000).max(3_600_000) })
export type Grant = z.output<typeof GRANT>
