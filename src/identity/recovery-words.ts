// The recovery key on paper: its 32-byte seed as 24 words of BIP 39's list, with a checksum.

import { entropyToMnemonic, mnemonicToEntropy, validateMnemonic } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'

/** 24 words of a 32-byte seed. */
export function recoveryWords(seed: Uint8Array): string {
  return entropyToMnemonic(seed, wordlist)
}

/** The 32-byte seed of 24 words in any case and spacing; null when a word or the checksum does not fit. */
export function tryParseRecoveryWords(text: string): Uint8Array | null {
  const words = text.trim().toLowerCase().split(/\s+/).join(' ')
  if (!validateMnemonic(words, wordlist)) return null
  const seed = mnemonicToEntropy(words, wordlist)
  return seed.length === 32 ? seed : null
}
