// A clock that steps: Debian's libfaketime changes the time of day of one process, and not its monotonic clock.
import { existsSync, writeFileSync } from 'node:fs'
import { arch } from 'node:process'
import { join } from 'node:path'

const TRIPLETS = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }
const LIBRARY = `/usr/lib/${TRIPLETS[arch]}/faketime/libfaketimeMT.so.1`

export class WrongClock {
  #file

  /** `undefined` if the library is not installed. */
  static in (folder) {
    if (!existsSync(LIBRARY)) return undefined
    const clock = new WrongClock()
    clock.#file = join(folder, 'clock')
    clock.step(0)
    return clock
  }

  /** The environment of the process whose clock it is. */
  get env () {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_CACHE_DURATION: '1'
    }
  }

  /** Sets the clock ahead, or back if `seconds` is negative; 0 is right. */
  step (seconds) { writeFileSync(this.#file, `${seconds < 0 ? '' : '+'}${seconds}\n`) }
}
