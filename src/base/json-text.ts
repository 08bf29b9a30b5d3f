// Whether a text is JSON at all: JSON.parse has no other way to say that it is not.

export function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}
