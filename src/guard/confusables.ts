// Letters that look like ASCII letters: what a reader takes for Latin although its code says otherwise. NFKC does not touch them.

const CYRILLIC = 'аaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwвbкkмmнhтtгrпnьbзeӏlгr'
const GREEK = 'αaοoνvρpτtυuχxκkιiεeηnωwβbγyσoζzμu'
const ARMENIAN = 'օoսuոnհhցgզqյj'
const SMALL_CAPITALS = 'ᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpʀrꜱsᴛtᴜuᴠvᴡwʏyᴢz'
const OTHER_LATIN = 'ɑaɡgıiɩiłløođdħhŧtƚlɨiʉuɛeɔoʋvƿp'

function table(pairs: string): ReadonlyMap<string, string> {
  const letters = [...pairs]
  return new Map(letters.flatMap((letter, index) => (index % 2 === 0 ? [[letter, letters[index + 1] ?? '']] : [])))
}

/** Lower-case letters of living scripts: Latin only in words that are not of that script. */
export const SCRIPT_LOOKALIKES = table(CYRILLIC + GREEK + ARMENIAN)

/** Lower-case letters that nobody writes a language with here: always the ASCII letter. */
export const LATIN_LOOKALIKES = table(SMALL_CAPITALS + OTHER_LATIN)
