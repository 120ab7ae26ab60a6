import { Operation } from '../../../schemas/metrics.js'
import { copyObject } from '../../base/copy.js'
import { InvalidOperation } from '../../base/errors.js'
import { isPromiseLike } from '../../base/promises.js'
import { compile, describeFailure } from '../../base/validation.js'

const ERROR_CODE_MAX_LENGTH = 64

const NAMES = Object.keys(Operation.properties)
const isOperation = compile(Operation)

/** How an operation ended. */
export type OperationOutcome = Pick<Operation, 'status' | 'errorCode'>

/**
 * A copy of an operation. A duration that is negative or not finite is left out.
 *
 * @throws FST_MC_INVALID_OPERATION with the invalid property, but not its value
 */
export function readOperation (given: Operation): Operation {
  if (hasShape(given)) return copy(given, isDuration(given.durationMs))
  const fault = describeFailure(isOperation.errors).join('; ')
  // A schema accepts neither NaN nor Infinity. Such an operation is still counted, without a duration.
  const isNumber = typeof given?.durationMs === 'number'
  if (isNumber && hasShape({ ...copyObject(given, NAMES), durationMs: 0 })) return copy(given, false)
  throw new InvalidOperation(fault)
}

/**
 * Calls `fn`, calls `onEnd` once with the outcome, and returns or throws what `fn` did. If `fn` returns a promise, the
 * operation ends when the promise settles.
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
  // Returns a derived promise instead of the original: a lazy query that is awaited twice would run twice, and an
  // unhandled rejection must stay visible to the host.
  return Promise.resolve(result).then(
    (value) => { onEnd({ status: 'success' }); return value },
    (err: unknown) => { onEnd(failureOf(err)); throw err }
  ) as T
}

// No type guard, because a value of the right type may still be invalid: a name can be empty.
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
  return { status: 'error', ...(errorCode !== undefined && { errorCode: errorCode.slice(0, ERROR_CODE_MAX_LENGTH) }) }
}

function codeOf (err: unknown): string | undefined {
  try {
    const code = (err as { code?: unknown } | null | undefined)?.code
    return typeof code === 'string' ? code : undefined
  } catch {
    // A getter that throws must not replace the error that the host expects.
    return undefined
  }
}
