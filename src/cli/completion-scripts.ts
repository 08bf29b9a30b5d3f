// Completion scripts: which words may follow which commands. All words are this program's own names, so nothing needs quoting.

/** Command path (`log show`) → words that may follow. */
export type CompletionWords = ReadonlyMap<string, readonly string[]>

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const
export type Shell = (typeof SHELLS)[number]

export function isShell(text: string): text is Shell {
  return (SHELLS as readonly string[]).includes(text)
}

/** The script to source, or to put where the shell looks for completions. */
export function completionScript(shell: Shell, words: CompletionWords): string {
  if (shell === 'bash') return bash(words)
  if (shell === 'zsh') return `#compdef pmesh\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`
  return shell === 'fish' ? fish(words) : powershell(words)
}

/** The longest path that begins what was typed decides; longer paths come first. */
function longestFirst(words: CompletionWords): (readonly [string, readonly string[]])[] {
  return [...words].sort(([a], [b]) => b.length - a.length)
}

function bash(words: CompletionWords): string {
  const cases = longestFirst(words).map(
    ([path, next]) => `    ${path === '' ? '*' : `"${path}"|"${path} "*`}) words="${next.join(' ')}" ;;`
  )
  return `_pmesh() {
  local word path="" words="" current="\${COMP_WORDS[COMP_CWORD]}" index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _pmesh pmesh
`
}

function fish(words: CompletionWords): string {
  const cases = longestFirst(words).map(
    ([path, next]) =>
      `        case ${path === '' ? "'*'" : `'${path}' '${path} *'`}\n            printf '%s\\n' ${next.join(' ')}`
  )
  return `function __pmesh_words
    set -l path
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; or set -a path $word
    end
    switch "$path"
${cases.join('\n')}
    end
end
complete -c pmesh -a '(__pmesh_words)'
`
}

function powershell(words: CompletionWords): string {
  const cases = longestFirst(words).map(([path, next]) => {
    const test = path === '' ? '$true' : `$path -eq '${path}' -or $path.StartsWith('${path} ')`
    return `  ${path === longestFirst(words)[0]?.[0] ? 'if' : 'elseif'} (${test}) { $words = '${next.join(' ')}' }`
  })
  return `Register-ArgumentCompleter -Native -CommandName pmesh -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $typed = $commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() }
  $path = ($typed | Where-Object { $_ -notlike '-*' -and $_ -ne $wordToComplete }) -join ' '
${cases.join('\n')}
  $words -split ' ' | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
}
`
}
