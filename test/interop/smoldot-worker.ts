// smoldot in a thread of its own: its timers outlive its own `terminate` by a minute, a thread ends at once.

import { parentPort, workerData } from 'node:worker_threads'
import * as chains from '@substrate/connect-known-chains'
import { start } from 'smoldot'

const spec = JSON.parse(chains.westend2)
spec.bootNodes = workerData.bootNodes
const client = start({ logCallback: () => undefined, forbidWs: true, forbidWss: true, forbidWebRtc: true })
const chain = await client.addChain({ chainSpec: JSON.stringify(spec), disableJsonRpc: true })
// What nobody holds is collected, and its connections end.
parentPort?.on('message', () => chain.remove())
