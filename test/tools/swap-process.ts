// Swaps `argv[2]` between a folder and a link to `argv[3]`, as fast as it can, until it is killed. Says `swapping` when it has begun.

import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'

const [place = '', outside = ''] = process.argv.slice(2)
const folder = `${place}-folder`
const link = `${place}-link`
makeFolder()
symlinkSync(outside, link)
process.stdout.write('swapping\n')
for (;;) {
  move(folder, place)
  move(place, folder)
  move(link, place)
  move(place, link)
}

/** Writers make the place themselves when it is missing: what they made goes. */
function move(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch {
    rmSync(place, { recursive: true, force: true, maxRetries: 20 })
    makeFolder()
  }
}

function makeFolder(): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/secret.txt`, 'inside')
}
