// Emits src/ as JavaScript to dist/ for the package: Node strips no types inside node_modules.
// Files under src/ that are JavaScript already (generated protobuf code) are copied as they are.
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')

rmSync(join(root, 'dist'), { recursive: true, force: true })
execFileSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
for (const file of globSync('**/*.{js,d.ts}', { cwd: join(root, 'src') })) {
  cpSync(join(root, 'src', file), join(root, 'dist', file))
}
