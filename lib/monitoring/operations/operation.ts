import { Operation } from '../../../schemas/metrics.js'
import { InvalidOperation } from '../../base/errors.js'
import { compile, describeFailure } from '../../base/validation.js'

const ERROR_CODE_MAX_LENGTH = 64

const isOperation = compile(Operation)

/** How an operation ended. */
export type OperationOutcome = Pick<Operation, 'status' | 'errorCode'>

/**
 * A copy of an operation that has the right shape and, if it has a duration, a finite one of at least 0 ms.
 *
 * @throws FST_MC_INVALID_OPERATION with the place of the fault, without the host's words
 */
export function readOperation (given: Operation): Operation {
  if (hasShape(given)) return copy(given, isDuration(given.durationMs))
  const fault = describeFailure(isOperation.errors).join('; ')
  // NaN and Infinity are no numbers to a schema; they cost an operation its duration, not its count.
  if (typeof given?.durationMs === 'number' && hasShape({ ...given, durationMs: 0 })) return copy(given, false)
  throw new InvalidOperation(fault)
}

/**
 * Calls `fn`, tells `onEnd` once how it ended, and gives or throws what `fn` did; a promise of `fn` is followed to its end.
 */
export function timeOperation<T> (fn: () => T, onEnd: (outcome: OperationOutcome) => void): T {
  let result: T
  try {
    result = fn()
  } catch (err) {
    onEnd(failureOf(err))
    throw err
  }
  if (!isPromiseLike(result)) {
    onEnd({ status: 'success' })
    return result
  }
  // The follower is given back, not the promise itself: a lazy query that is awaited twice would run twice, and a rejection
  // nobody handles must stay visible to the host.
  return Promise.resolve(result).then(
    (value) => { onEnd({ status: 'success' }); return value },
    (err: unknown) => { onEnd(failureOf(err)); throw err }
  ) as T
}

// Not a type guard: a value of the right type may still be of the wrong shape, such as one with an empty name.
function hasShape (given: unknown): boolean {
  return isOperation(given)
}

function copy ({ component, operation, status, durationMs, errorCode }: Operation, hasDuration: boolean): Operation {
  const result: Operation = { component, operation, status }
  if (hasDuration) result.durationMs = durationMs!
  if (errorCode !== undefined) result.errorCode = errorCode
  return result
}

function isDuration (durationMs: number | undefined): boolean {
  return durationMs !== undefined && durationMs >= 0
}

function failureOf (err: unknown): OperationOutcome {
  const errorCode = codeOf(err)
  return errorCode === undefined ? { status: 'error' } : { status: 'error', errorCode: errorCode.slice(0, ERROR_CODE_MAX_LENGTH) }
}

function codeOf (err: unknown): string | undefined {
  try {
    const code = (err as { code?: unknown } | null | undefined)?.code
    return typeof code === 'string' ? code : undefined
  } catch {
    // A getter that throws has no code to give, and must not replace the error that the host is waiting for.
    return undefined
  }
}

function isPromiseLike (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
}
