// Exact numbers of calc: fractions of whole numbers of any size up to the limits. Nothing is ever rounded but what is shown of a quotient
// that does not end. Knows nothing of expressions.

import { LIMITS } from '../base/limits.ts'

/** In lowest terms where `bottom` is large; `bottom` is positive. */
export interface Fraction {
  readonly top: bigint
  readonly bottom: bigint
}

/** What arithmetic cannot do; the expression knows where. */
export class ArithmeticFault extends Error {}

const DIGITS_MAX = 10n ** BigInt(LIMITS.calcDigitsMax)
const DENOMINATOR_MAX = 10n ** BigInt(LIMITS.calcDenominatorDigitsMax)
const BITS_PER_DIGIT = Math.log2(10)

export function add(a: Fraction, b: Fraction): Fraction {
  if (a.bottom === b.bottom) return fraction(a.top + b.top, a.bottom)
  return fraction(a.top * b.bottom + b.top * a.bottom, a.bottom * b.bottom)
}

export function negate(a: Fraction): Fraction {
  return { top: -a.top, bottom: a.bottom }
}

export function multiply(a: Fraction, b: Fraction): Fraction {
  return fraction(a.top * b.top, a.bottom * b.bottom)
}

export function divide(a: Fraction, b: Fraction): Fraction {
  return multiply(a, inverse(b))
}

/** The remainder with the sign of `b`, as in Python. */
export function modulo(a: Fraction, b: Fraction): Fraction {
  const quotient = divide(a, b)
  const cut = quotient.top / quotient.bottom
  const floor = quotient.top % quotient.bottom < 0n ? cut - 1n : cut
  return add(a, negate(multiply({ top: floor, bottom: 1n }, b)))
}

export function power(base: Fraction, exponent: Fraction): Fraction {
  const { top, bottom } = reduced(exponent)
  if (bottom !== 1n) throw new ArithmeticFault('an exponent must be a whole number')
  const size = top < 0n ? -top : top
  if (size > BigInt(LIMITS.calcExponentMax)) {
    throw new ArithmeticFault(`an exponent is at most ${LIMITS.calcExponentMax}`)
  }
  const from = reduced(top < 0n ? inverse(base) : base)
  checkPower(from.top, size, LIMITS.calcDigitsMax)
  checkPower(from.bottom, size, LIMITS.calcDenominatorDigitsMax)
  return fraction(from.top ** size, from.bottom ** size)
}

/** Before the power is computed: its size follows from the base's. */
function checkPower(base: bigint, exponent: bigint, digitsMax: number): void {
  const bits = (base < 0n ? -base : base).toString(2).length - 1
  if (bits * Number(exponent) > digitsMax * BITS_PER_DIGIT) tooLarge()
}

function inverse(a: Fraction): Fraction {
  if (a.top === 0n) throw new ArithmeticFault('division by zero')
  return a.top < 0n ? { top: -a.bottom, bottom: -a.top } : { top: a.bottom, bottom: a.top }
}

function fraction(top: bigint, bottom: bigint): Fraction {
  const number = bottom === 1n ? { top, bottom } : reduced({ top, bottom })
  if (number.top >= DIGITS_MAX || number.top <= -DIGITS_MAX || number.bottom >= DENOMINATOR_MAX) tooLarge()
  return number
}

function tooLarge(): never {
  throw new ArithmeticFault(`a number on the way has more than ${LIMITS.calcDigitsMax} digits, or too fine a fraction`)
}

function reduced({ top, bottom }: Fraction): Fraction {
  let [a, b] = [top < 0n ? -top : top, bottom]
  while (b !== 0n) [a, b] = [b, a % b]
  return { top: top / a, bottom: bottom / a }
}

/** `whole.fraction` as digits: `12.50` is 1250 over 100. Throws ArithmeticFault. */
export function parseDecimal(whole: string, decimals: string, exponent: number): Fraction {
  if (Math.abs(exponent) > LIMITS.calcDenominatorDigitsMax) tooLarge()
  const digits = { top: BigInt(whole + decimals), bottom: 10n ** BigInt(decimals.length) }
  const scale = 10n ** BigInt(Math.abs(exponent))
  return multiply(digits, exponent < 0 ? { top: 1n, bottom: scale } : { top: scale, bottom: 1n })
}

/** Decimal text: exact, or 40 significant digits and `…` where the quotient does not end. */
export function formatFraction(number: Fraction): string {
  const { top, bottom } = reduced(number)
  if (bottom === 1n) return String(top)
  const sign = top < 0n ? '-' : ''
  const size = top < 0n ? -top : top
  const decimals = decimalsOf(bottom)
  if (decimals !== null) return sign + pointed((size * 10n ** BigInt(decimals)) / bottom, decimals)
  const shown = Math.max(1, LIMITS.calcQuotientDigits - magnitude(size, bottom))
  return `${sign}${pointed((size * 10n ** BigInt(shown)) / bottom, shown)}…`
}

/** Decimals after which the quotient ends; null when it does not. */
function decimalsOf(bottom: bigint): number | null {
  let rest = bottom
  const count = (prime: bigint): number => {
    let times = 0
    for (; rest % prime === 0n; rest /= prime) times++
    return times
  }
  const decimals = Math.max(count(2n), count(5n))
  return rest === 1n ? decimals : null
}

/** Place of the first digit: 1 for 1 to 9, 0 for 0.1 to 0.9, -1 for 0.01 … */
function magnitude(top: bigint, bottom: bigint): number {
  if (top >= bottom) return String(top / bottom).length
  let place = String(top).length - String(bottom).length
  if (top * 10n ** BigInt(-place) < bottom) place--
  return place + 1
}

function pointed(digits: bigint, decimals: number): string {
  const text = String(digits).padStart(decimals + 1, '0')
  return decimals === 0 ? text : `${text.slice(0, -decimals)}.${text.slice(-decimals)}`
}
