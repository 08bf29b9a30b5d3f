// CMD-2: argument forms by which an allowed program runs another one, or writes where its purpose is to read.
// The list is for intent and audit; it cannot be complete, and the sandbox holds without it (CMD-5).

import { gitCommand, hasOption, isStream, type OptionQuery, operands, programName } from './command-options.ts'
import { sedFault } from './sed-script.ts'

type Check = (args: readonly string[], program: string) => string | null

/** Why these arguments are refused, or null. */
export function argumentFault(argv: readonly string[]): string | null {
  const program = programName(argv[0] ?? '')
  const args = argv.slice(1)
  if (STARTERS.has(program) || ESCAPES.has(program) || /^ld(?:-linux.*)?\.so/.test(program))
    return `${program} runs another program; list and name that one`
  return checkOf(program)?.(args, program) ?? null
}

/** Programs whose purpose is to start another. */
export const STARTERS: ReadonlySet<string> = new Set(
  (
    'env xargs parallel timeout nice nohup stdbuf setsid flock script watch time chroot unshare nsenter ionice taskset chrt prlimit ' +
    'strace ltrace gdb lldb valgrind perf sudo doas su runuser pkexec systemd-run at batch crontab entr expect setarch linux32 linux64 ' +
    'fakeroot faketime torsocks proxychains rlwrap unbuffer screen tmux dbus-run-session ssh-agent busybox toybox start-stop-daemon ' +
    'eval exec command builtin source . trap coproc npx bunx uvx'
  ).split(' ')
)

/** Programs that start another when they are told to in their own language. */
const ESCAPES: ReadonlySet<string> = new Set('vi vim nvim ex view emacs ed less more most man'.split(' '))

const PYTHON = /^(?:python|pypy)[\d.]*$/
const VERSIONED = /^(perl|ruby|php|lua|gcc|clang)[\d.-]+$/

function checkOf(program: string): Check | null {
  if (PYTHON.test(program)) return CHECKS.python ?? null
  const name = VERSIONED.exec(program)?.[1] ?? program
  return Object.hasOwn(CHECKS, name) ? (CHECKS[name] ?? null) : null
}

/** A check that refuses options. */
function options(query: OptionQuery, does = 'runs a program'): Check {
  return (args, program) => (hasOption(args, query) ? `${program}: this option ${does}` : null)
}

/** A check that refuses whole arguments, for programs whose long options have one dash. */
function words(pattern: RegExp, does = 'runs a program'): Check {
  return (args, program) => {
    const hit = args.find((arg) => pattern.test(arg))
    return hit === undefined ? null : `${program} ${hit.slice(0, 40)} ${does}`
  }
}

function all(...checks: readonly Check[]): Check {
  return (args, program) => {
    for (const check of checks) {
      const fault = check(args, program)
      if (fault !== null) return fault
    }
    return null
  }
}

/** Code as an argument or from the input: the text of the program is then nobody's file. */
function interpreter(query: OptionQuery & { readonly subcommands?: RegExp }): Check {
  return (args, program) => {
    if (hasOption(args.slice(0, scriptPlace(args, query.valued)), query)) return `${program}: code in the arguments`
    const file = args[scriptPlace(args, query.valued)]
    if (file === undefined || file === '-' || isStream(file)) return `${program}: code from the input`
    return query.subcommands?.test(file) ? `${program} ${file}: code in the arguments` : null
  }
}

/** Where the options of the interpreter end and those of the script begin. */
function scriptPlace(args: readonly string[], valued = ''): number {
  let at = 0
  while (at < args.length && (args[at] as string).startsWith('-') && args[at] !== '-') {
    if (args[at] === '--') return at + 1
    at += valued.includes((args[at] as string).at(-1) ?? ' ') && !(args[at] as string).startsWith('--') ? 2 : 1
  }
  return at
}

const writes = 'writes a file'
const SSH_CHECK = all(
  options({ short: 'FISEo', valued: 'BbcDeiJLlmOpQRWw' }, 'runs a program or reads other settings'),
  words(/^-?-?proxycommand/i)
)
const AWK_CHECK: Check = (args, program) => {
  if (
    hasOption(args, {
      short: 'filEeo',
      long: [
        '--file',
        '--include',
        '--load',
        '--exec',
        '--source',
        '--pretty-print',
        '--profile',
        '--dump-variables',
        '--debug'
      ],
      valued: 'Fv'
    })
  )
    return `${program}: a program that is not in its first argument`
  const text = operands(args, 'Fv')[0] ?? ''
  if (/system|getline|@|\||close/.test(text)) return `${program}: the program runs another one`
  return text.split(/[;\n}]/).some((part) => part.indexOf('>') > part.indexOf('print') && part.includes('print'))
    ? `${program}: the program writes a file`
    : null
}

const CHECKS: Readonly<Record<string, Check>> = {
  git: gitFault,
  find: words(
    /^-(?:exec|execdir|ok|okdir|delete|fprint|fprint0|fprintf|fls)$/,
    'runs programs, writes or removes files'
  ),
  fd: options({ short: 'xX', long: ['--exec', '--exec-batch'], valued: 'dEtescCoj' }),
  fdfind: options({ short: 'xX', long: ['--exec', '--exec-batch'], valued: 'dEtescCoj' }),
  rg: words(/^--(?:pre(?:=|$)|hostname-bin)/),
  tar: tarFault,
  bsdtar: tarFault,
  sed: sedCheck,
  gsed: sedCheck,
  awk: AWK_CHECK,
  gawk: AWK_CHECK,
  mawk: AWK_CHECK,
  nawk: AWK_CHECK,
  rsync: options({
    short: 'eM',
    long: ['--rsh', '--rsync-path', '--remote-option', '--daemon', '--config', '--write-batch'],
    valued: 'fTB@'
  }),
  ssh: SSH_CHECK,
  scp: SSH_CHECK,
  sftp: all(SSH_CHECK, options({ short: 'Dbs' })),
  node: interpreter({
    short: 'epr',
    long: [
      '--eval',
      '--print',
      '--require',
      '--import',
      '--loader',
      '--experimental-loader',
      '--env-file',
      '--run',
      '--inspect',
      '--interactive'
    ],
    valued: 'C'
  }),
  nodejs: (args, program) => CHECKS.node?.(args, program) ?? null,
  deno: interpreter({ subcommands: /^(?:eval|repl|task|x|jupyter)$/ }),
  bun: interpreter({
    short: 'epr',
    long: ['--eval', '--print', '--preload'],
    subcommands: /^(?:eval|repl|x|exec|create)$/
  }),
  tsx: interpreter({ short: 'epr', long: ['--eval', '--print', '--require', '--import'] }),
  python: interpreter({ short: 'cmi', valued: 'WX' }),
  perl: interpreter({ short: 'eEMmdDiI' }),
  ruby: interpreter({ short: 'erI', valued: 'CEF' }),
  php: interpreter({
    short: 'rRBEadSz',
    long: [
      '--run',
      '--process-code',
      '--process-begin',
      '--process-end',
      '--define',
      '--server',
      '--interactive',
      '--zend-extension'
    ],
    valued: 'c'
  }),
  lua: interpreter({ short: 'eli' }),
  rscript: interpreter({ short: 'e' }),
  julia: interpreter({ short: 'eEiL', long: ['--eval', '--print', '--load'] }),
  osascript: interpreter({ short: 'ei' }),
  make: all(options({ long: ['--eval'], short: 'E', valued: 'CfIjloW' }), words(/[$`]|^(?:SHELL|MAKEFLAGS|.*!)=/)),
  gmake: (args, program) => CHECKS.make?.(args, program) ?? null,
  cmake: words(/^-[EP]/),
  go: words(/^--?(?:exec|toolexec|vettool)(?:=|$)|^generate$/),
  cargo: words(/^--config(?:=|$)/),
  npm: words(/^(?:exec|x|explore|init|create)$|^--(?:script-shell|node-options|call)(?:=|$)|^-c$/),
  pnpm: words(/^(?:exec|dlx|create)$|^--(?:script-shell|shell-mode|node-options)(?:=|$)|^-c$/),
  yarn: words(/^(?:exec|dlx|create|node)$/),
  zip: words(/^-[A-Za-z]*TT|^--unzip-command/),
  sort: all(
    options({ long: ['--compress-program'] }),
    options({ short: 'o', long: ['--output'], valued: 'kStT' }, writes)
  ),
  shuf: options({ short: 'o', long: ['--output'], valued: 'ni' }, writes),
  split: options({ long: ['--filter'] }),
  uniq: (args) =>
    operands(args, 'fsw', ['--skip-fields', '--skip-chars', '--check-chars']).length > 1 ? `uniq ${writes}` : null,
  tree: options({ short: 'o', valued: 'LPIH' }, writes),
  date: options({ short: 's', long: ['--set'], valued: 'dfrI' }, 'sets the clock'),
  file: options({ short: 'C', long: ['--compile'], valued: 'efFmP' }, writes),
  printf: words(/^-v/, 'sets a variable'),
  curl: all(
    options(
      {
        short: 'oOKTJ',
        long: [
          '--output',
          '--output-dir',
          '--remote-name',
          '--remote-header-name',
          '--config',
          '--upload-file',
          '--engine',
          '--unix-socket',
          '--abstract-unix-socket',
          '--libcurl',
          '--trace',
          '--dump-header',
          '--cookie-jar'
        ],
        valued: 'AbcCdDEeFHmPQrtuUwXxYyz'
      },
      'reads settings or files, or writes them'
    ),
    words(/file:|^-?@|=@/i, 'reads a file')
  ),
  wget: options(
    {
      short: 'eiO',
      long: [
        '--use-askpass',
        '--execute',
        '--config',
        '--input-file',
        '--output-document',
        '--post-file',
        '--body-file',
        '--rejected-log'
      ],
      valued: 'aoUPtTwQ'
    },
    'runs a program, or reads or writes a file'
  ),
  openssl: words(/^-(?:engine|provider|provider-path|config)$/, 'loads code'),
  sqlite3: words(/^-{1,2}(?:cmd|init)$|^[ \t]*\.|load_extension/im),
  psql: words(/^-[A-Za-z]*[cfv]|^--(?:command|file|set|variable)|\\/),
  mysql: words(/^-[A-Za-z]*e|^--execute|^--pager/)
}

/** Options before the command, then those of the command. */
function gitFault(args: readonly string[]): string | null {
  const { globals, name, rest } = gitCommand(args)
  const isOutside = globals.some((option) =>
    /^-c|^-p$|^--(?:pag|config-env|exec-path=|git-dir|work-tree|super-prefix)/.test(option)
  )
  if (isOutside) return 'git: this option sets what git runs'
  if (rest.some((arg) => /^(?:ext|fd)::/.test(arg))) return 'git: this address runs a program'
  if (name === 'config')
    return rest.some((arg) => /^--(?:get|list)|^-l$|^list$|^get$/.test(arg)) ? null : 'git config sets what git runs'
  const check = Object.hasOwn(GIT_COMMANDS, name) ? GIT_COMMANDS[name] : null
  return check?.(rest, `git ${name}`) ?? null
}

const GIT_TRANSPORT = options({
  short: 'uc',
  long: ['--upload-pack', '--receive-pack', '--exec', '--config', '--template'],
  valued: 'bojs'
})
const GIT_OUTPUT = all(options({ long: ['--output', '--ext-diff', '--textconv'] }, 'runs a program or writes a file'))
const always: Check = (_, program) => `${program} runs programs`

const GIT_COMMANDS: Readonly<Record<string, Check>> = {
  clone: GIT_TRANSPORT,
  fetch: options({ long: ['--upload-pack'] }),
  pull: options({ long: ['--upload-pack'] }),
  push: options({ long: ['--receive-pack', '--exec'] }),
  'ls-remote': options({ long: ['--upload-pack', '--exec'] }),
  'fetch-pack': options({ long: ['--upload-pack', '--exec'] }),
  'send-pack': options({ long: ['--receive-pack', '--exec'] }),
  archive: options({ long: ['--exec', '--output'], short: 'o' }, 'runs a program or writes a file'),
  init: options({ long: ['--template'] }),
  grep: options({ short: 'O', long: ['--open-files-in-pager'], valued: 'efABCm' }),
  log: GIT_OUTPUT,
  diff: GIT_OUTPUT,
  show: GIT_OUTPUT,
  'format-patch': GIT_OUTPUT,
  rebase: options({ short: 'xi', long: ['--exec', '--interactive'], valued: 'CsX' }),
  bisect: (args) => (args[0] === 'run' ? 'git bisect runs programs' : null),
  submodule: (args) => (args.includes('foreach') || args.includes('update') ? 'git submodule runs programs' : null),
  difftool: always,
  mergetool: always,
  'filter-branch': always,
  daemon: always,
  instaweb: always,
  shell: always,
  'send-email': always,
  'credential-cache': always,
  hook: always,
  maintenance: always
}

/** Old style too: `tar cIf PROGRAM …`. */
function tarFault(args: readonly string[]): string | null {
  const [first = '', ...rest] = args
  const all = first.startsWith('-') ? args : [`-${first}`, ...rest]
  const query = {
    short: 'IF',
    long: [
      '--checkpoint-action',
      '--to-command',
      '--use-compress-program',
      '--info-script',
      '--new-volume-script',
      '--rmt-command',
      '--rsh-command'
    ],
    valued: first.startsWith('-') ? 'fbCTXgHKLNV' : ''
  }
  return hasOption(all, query) ? 'tar: this option runs a program' : null
}

function sedCheck(args: readonly string[]): string | null {
  if (hasOption(args, { short: 'if', long: ['--in-place', '--file'], valued: 'el' }))
    return 'sed: this option writes files or reads its script from one'
  const scripts = sedScripts(args)
  for (const script of scripts) {
    const fault = sedFault(script)
    if (fault !== null) return fault
  }
  return null
}

/** Each `-e` and `--expression`; without one the first operand. Options after operands count, as GNU reads them. */
function sedScripts(args: readonly string[]): string[] {
  const scripts: string[] = []
  for (const [index, arg] of args.entries()) {
    if (arg === '--') break
    const attached = /^-[A-Za-z]*?e([\s\S]*)$/.exec(arg)?.[1] ?? /^--e[a-z]*=([\s\S]*)$/.exec(arg)?.[1]
    if (/^--e[a-z]*$/.test(arg) || attached === '') scripts.push(args[index + 1] ?? '')
    else if (attached !== undefined) scripts.push(attached)
  }
  return scripts.length > 0 ? scripts : operands(args, 'el', ['--line-length']).slice(0, 1)
}
