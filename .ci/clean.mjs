import { rmSync } from 'node:fs'

// Removes folders. Without it, the output of deleted sources would be packed and published.
for (const folder of process.argv.slice(2)) rmSync(folder, { recursive: true, force: true })
