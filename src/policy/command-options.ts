// Reading an argument array as getopt does: clusters of short options, values attached or not, abbreviated long options.

import { posix } from 'node:path'

export interface OptionQuery {
  /** Letters that are looked for. */
  readonly short?: string
  /** With both dashes. */
  readonly long?: readonly string[]
  /** Letters that take a value: what follows in the same argument, else the next argument, is no option. */
  readonly valued?: string
}

/** Shortest abbreviation of a long option that counts: two dashes and a letter. */
const ABBREVIATION_MIN = 3

/** Whether one of the options is there, in any spelling that getopt_long takes. */
export function hasOption(args: readonly string[], { short = '', long = [], valued = '' }: OptionQuery): boolean {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string
    if (arg === '--') return false
    if (arg.startsWith('--')) {
      if (isAbbreviation(arg, long)) return true
    } else if (arg.startsWith('-')) {
      for (let at = 1; at < arg.length; at++) {
        const letter = arg[at] as string
        if (short.includes(letter)) return true
        if (!valued.includes(letter)) continue
        if (at === arg.length - 1) index++
        break
      }
    }
  }
  return false
}

function isAbbreviation(arg: string, long: readonly string[]): boolean {
  const name = arg.split('=', 1)[0] as string
  return name.length >= ABBREVIATION_MIN && long.some((option) => option.startsWith(name))
}

/** What is no option and no value of one. `long` are the long options whose value is the next argument. */
export function operands(args: readonly string[], valued = '', long: readonly string[] = []): string[] {
  const found: string[] = []
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string
    if (arg === '--') return [...found, ...args.slice(index + 1)]
    if (!arg.startsWith('-') || arg === '-') found.push(arg)
    else if (long.includes(arg)) index++
    else if (!arg.startsWith('--') && takesNext(arg, valued)) index++
  }
  return found
}

function takesNext(cluster: string, valued: string): boolean {
  for (let at = 1; at < cluster.length; at++) {
    if (valued.includes(cluster[at] as string)) return at === cluster.length - 1
  }
  return false
}

/** Name of a program without its folder, its case and `.exe`. */
export function programName(word: string): string {
  const name = word.slice(Math.max(word.lastIndexOf('/'), word.lastIndexOf('\\')) + 1)
  return name.toLowerCase().replace(/\.exe$/, '')
}

/** Global options of git that stand before its command. */
export function gitCommand(args: readonly string[]): {
  readonly globals: readonly string[]
  readonly name: string
  readonly rest: readonly string[]
} {
  let at = 0
  while (at < args.length && (args[at] as string).startsWith('-')) at += GIT_VALUED.has(args[at] as string) ? 2 : 1
  return { globals: args.slice(0, at), name: args[at] ?? '', rest: args.slice(at + 1) }
}

const GIT_VALUED: ReadonlySet<string> = new Set([
  '-C',
  '-c',
  '--git-dir',
  '--work-tree',
  '--namespace',
  '--super-prefix',
  '--config-env',
  '--attr-source'
])

/** A path that is no file but whatever was handed over as input, in any spelling. */
export function isStream(path: string): boolean {
  return /^(?:\/+|(?:\.\.\/)+)(?:dev\/|proc\/(?:.*\/)?fd\/)/.test(posix.normalize(path))
}
