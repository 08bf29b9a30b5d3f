// The recovery key on paper: its 32-byte seed as 24 words of BIP 39's list, with a checksum.

import { entropyToMnemonic } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'

/** 24 words of a 32-byte seed. */
export function recoveryWords(seed: Uint8Array): string {
  return entropyToMnemonic(seed, wordlist)
}
