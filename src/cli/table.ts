// Aligned columns for people.

import { escapeText } from './escape-text.ts'
import type { Piece, Style } from './output.ts'

export interface Column {
  readonly title?: string
  readonly align?: 'left' | 'right'
}

const textOf = (cell: Piece) => escapeText(typeof cell === 'string' ? cell : cell.text)
const widthOf = (text: string) => [...text].length

function padded(cell: Piece, width: number, align: 'left' | 'right', last: boolean): Piece {
  const text = textOf(cell)
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  const full = align === 'right' ? space + text : last ? text : text + space
  return typeof cell === 'string' ? full : { text: full, style: cell.style }
}

/** Lines of a table, each as pieces for Output.line. Columns are `gap` apart; a title row comes first when a column has a title. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Piece[])[],
  gap = '  ',
  titleStyle?: Style
): Piece[][] {
  const titles = columns.some((column) => column.title !== undefined)
    ? [columns.map((column) => column.title ?? '')]
    : []
  const all: (readonly Piece[])[] = [...titles, ...rows]
  const widths = columns.map((_, index) => Math.max(0, ...all.map((row) => widthOf(textOf(row[index] ?? '')))))
  return all.map((row, rowIndex) =>
    columns.flatMap((column, index) => {
      const cell = padded(row[index] ?? '', widths[index] ?? 0, column.align ?? 'left', index === columns.length - 1)
      const styled =
        rowIndex === 0 && titles.length > 0 && titleStyle !== undefined
          ? { text: textOf(cell), style: titleStyle }
          : cell
      return index === 0 ? [styled] : [gap, styled]
    })
  )
}

/** `key  value` lines under one another. */
export function blockLines(rows: readonly (readonly [string, Piece])[], indent = '  '): Piece[][] {
  const width = Math.max(0, ...rows.map(([key]) => widthOf(escapeText(key))))
  return rows.map(([key, value]) => [`${indent}${escapeText(key).padEnd(width)}  `, value])
}
