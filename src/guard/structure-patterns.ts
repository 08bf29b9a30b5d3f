// Forged structure: tokens of chat templates, delimiters, messages in the shape of a chat.

import { anywhere, type GuardPattern, near } from './pattern.ts'

export const STRUCTURE_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'role-token',
    weight: 0.95,
    always: true,
    phrases: [
      anywhere('<\\|im_start\\|>\\s?(?:system|user|assistant|developer|tool)\\n\\s?[^\\s{<\'"]'),
      anywhere(
        '<\\|(?:im_end|eot_id|end|endoftext|eom_id)\\|>\\s?<\\|(?:im_start|start_header_id|system|user|begin_of_text)\\|>\\s?[a-z]?'
      ),
      anywhere('<\\|start_header_id\\|>\\s?(?:system|user|assistant)\\s?<\\|end_header_id\\|>\\s?[^\\s{<\'"]'),
      anywhere('<\\|(?:system|user|assistant)\\|>\\s?\\n[^\\s<\'"]'),
      anywhere('\\[inst\\]\\s?<<sys>>\\s?[^\\s{<\'"]'),
      anywhere('<<sys>>\\n[^\\s{<\'"]', near(400), '<<\\/sys>>'),
      anywhere('\\[\\/inst\\]', near(40), '<\\/s>\\s?<s>\\s?\\[inst\\]'),
      anywhere('<start_of_turn>\\s?(?:user|model|system)\\n[^\\s{<\'"]')
    ]
  },
  {
    rule: 'delimiter-forgery',
    weight: 0.7,
    phrases: [
      anywhere(
        '<\\/(?:user_?input|user_?data|document|context|tool_?result|tool_?output|untrusted|data|input|user|query)>\\s?<(?:system|instructions?|assistant|developer|admin)>'
      ),
      anywhere("<system(?:_prompt|_message|\\smode)?>\\s?[a-z']{1,20}(?:\\s|,|:)"),
      anywhere('(?:^|\\n)#{2,3}\\s?instructions?:\\n', near(400), '\\n#{2,3}\\s?response:'),
      anywhere(
        '[-=*#\\n[]\\s?end\\sof\\s(?:the\\s)?(?:document|user\\sinput|context|data|untrusted|tool\\s(?:output|result)|email|input)',
        near(40),
        '(?:system|instruction|now|new|assistant)'
      ),
      anywhere(
        '"role"\\s?:\\s?"(?:system|developer)"\\s?,\\s?"content"\\s?:\\s?"',
        near(80),
        '(?:ignore|you are now|you must|override|reveal|disregard|unrestricted)'
      ),
      anywhere(
        '^human:',
        near(2000),
        '\\n\\s?assistant:\\s(?:understood|sure|ok|okay|yes|of course|certainly|i will)\\b'
      )
    ]
  }
]
