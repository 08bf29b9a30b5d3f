// Opens or rolls back a store and kills itself with SIGKILL at a step: migration-child.ts HOME open|roll-back STEP COUNT

import { join } from 'node:path'
import { silentLogger } from '../../src/base/logger.ts'
import { openLevelStore, rollBackLevelStore } from '../../src/store/open-level-store.ts'
import { MIGRATIONS, NEW_VERSION } from './migration-fixture.ts'

const [home = '', what, step, count = '1'] = process.argv.slice(2)
let left = Number(count)
const options = {
  folder: join(home, 'store'),
  backups: join(home, 'backups'),
  logger: silentLogger,
  migrations: MIGRATIONS,
  schemaVersion: NEW_VERSION,
  onStep(reached: string) {
    if (reached === step && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}
if (what === 'open') await (await openLevelStore(options)).close()
else await rollBackLevelStore(options)
