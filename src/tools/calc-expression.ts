// Expressions of calc: numbers, + - * / % **, parentheses, with the precedence of Python. There are no names, so there is nothing to
// call and nothing to reach. Evaluated while it is read; depth and length are bounded.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import {
  ArithmeticFault,
  add,
  divide,
  type Fraction,
  modulo,
  multiply,
  negate,
  parseDecimal,
  power
} from './calc-number.ts'

const NUMBER = /(?:(\d+(?:_\d+)*)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,6}))?/y
const OPERATOR = /\*\*|[-+*/%()]|−/y
const SPACE = /[ \t\r\n]+/y

/** The exact value. Throws CALC_INVALID that names the character, counted from 1. */
export function evaluateExpression(text: string): Fraction {
  if (text.length > LIMITS.calcTextMax) {
    throw new MeshError('CALC_INVALID', `an expression has at most ${LIMITS.calcTextMax} characters`)
  }
  return new Expression(text).value()
}

class Expression {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): Fraction {
    const value = this.#sum()
    if (this.#at < this.#text.length) this.#unexpected()
    return value
  }

  #sum(): Fraction {
    let left = this.#product()
    for (;;) {
      const at = this.#at
      if (this.#take('+')) left = this.#compute(at, add, left, this.#product())
      else if (this.#take('-')) left = this.#compute(at, add, left, negate(this.#product()))
      else return left
    }
  }

  #product(): Fraction {
    let left = this.#signed()
    for (;;) {
      const at = this.#at
      if (this.#take('*')) left = this.#compute(at, multiply, left, this.#signed())
      else if (this.#take('/')) left = this.#compute(at, divide, left, this.#signed())
      else if (this.#take('%')) left = this.#compute(at, modulo, left, this.#signed())
      else return left
    }
  }

  /** A sign binds weaker than the power at its right: -2**2 is -4. */
  #signed(): Fraction {
    if (this.#depth >= LIMITS.calcDepthMax) this.#unexpected(`more than ${LIMITS.calcDepthMax} levels`)
    this.#depth++
    const minus = this.#take('-')
    const value = minus || this.#take('+') ? this.#signed() : this.#power()
    this.#depth--
    return minus ? negate(value) : value
  }

  /** From right to left, and a sign may stand in the exponent: 2**3**2 is 512, 2**-1 is 0.5. */
  #power(): Fraction {
    const base = this.#atom()
    const at = this.#at
    return this.#take('**') ? this.#compute(at, power, base, this.#signed()) : base
  }

  #atom(): Fraction {
    if (this.#take('(')) {
      const value = this.#sum()
      if (!this.#take(')')) this.#unexpected('a parenthesis is not closed')
      return value
    }
    const at = this.#at
    const found = this.#match(NUMBER)
    if (found === null) this.#unexpected()
    const [, whole = '0', decimals = '', bare = '', exponent = '0'] = found
    return this.#compute(at, () => parseDecimal(whole.replaceAll('_', ''), decimals + bare, Number(exponent)))
  }

  #compute<Operands extends readonly Fraction[]>(
    at: number,
    operation: (...operands: Operands) => Fraction,
    ...operands: Operands
  ): Fraction {
    try {
      return operation(...operands)
    } catch (error) {
      if (error instanceof ArithmeticFault) this.#fail(at, error.message)
      throw error
    }
  }

  #take(operator: string): boolean {
    this.#match(SPACE)
    OPERATOR.lastIndex = this.#at
    const found = OPERATOR.exec(this.#text)?.[0]
    if (found === undefined || (found === '−' ? '-' : found) !== operator) return false
    this.#at += found.length
    this.#match(SPACE)
    return true
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found !== null) this.#at += found[0].length
    return found
  }

  #unexpected(message?: string): never {
    const found = this.#text.codePointAt(this.#at)
    if (message === undefined && found === undefined) this.#fail(this.#at, 'the expression ends too early')
    const shown = found === undefined ? '' : `: ${JSON.stringify(String.fromCodePoint(found))}`
    this.#fail(this.#at, message ?? `a number or an operator was expected${shown}`)
  }

  #fail(at: number, message: string): never {
    throw new MeshError('CALC_INVALID', `${message}, at character ${at + 1}`, { details: { character: at + 1 } })
  }
}
