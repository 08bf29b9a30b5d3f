// Telling a model to forget its instructions, to take others, or to say what they are.

import { anywhere, type GuardPattern, gap, near, oneOf, phrase } from './pattern.ts'

const IGNORE = oneOf(
  "ignor(?:e|es|ing) disregard(?:ing)? forget(?:ting)? overlook override overrule neglect discard erase drop bypass set_aside pay_no_attention_to (?:do_not|don'?t|stop|not|cease)_(?:follow|obey|heed)(?:ing)?"
)
const EARLIER = oneOf(
  'previous prior preceding above earlier before foregoing existing original initial former past current all any your every these those his its system everything'
)
const INSTRUCTIONS = oneOf(
  'instructions? instruktionen prompts? directives? commands? orders? rules? guidelines? guidance programming training tasks? assignments? directions restrictions? constraints? context instructed told policies'
)

export const OVERRIDE_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'override-instructions',
    weight: 0.7,
    phrases: [
      phrase(
        oneOf('ignore ignoring disregard disregarding forget'),
        gap(2),
        oneOf('instructions directives instructed prompts? commands')
      ),
      phrase(oneOf('forget ignore'), '\\severything,?\\s', oneOf('write say print tell output answer')),
      phrase('remove\\sall\\sprevious\\s', oneOf('tasks instructions orders'), gap(3), 'head'),
      phrase(IGNORE, '\\s', gap(2), EARLIER, '\\s', gap(3), INSTRUCTIONS),
      phrase(
        oneOf('ignore disregard forget overlook'),
        '\\s',
        gap(3),
        INSTRUCTIONS,
        '\\s(?:you\\s)?',
        gap(2),
        oneOf('above before previously prior earlier received given')
      ),
      phrase(
        oneOf('forget ignore disregard'),
        '\\s(?:about\\s)?',
        oneOf('everything all anything what all_of_it'),
        '\\s',
        gap(2),
        oneOf('before above previously prior earlier told said instructed written learned')
      ),
      phrase(oneOf('forget ignore disregard'), '\\s(?:about\\s)?everything\\s', oneOf('and just but')),
      phrase(
        oneOf('ignore disregard forget'),
        '\\s(?:the\\s|all\\s)?above\\s',
        oneOf('and say tell print output text prompt directions instead')
      ),
      phrase(
        oneOf('ignore disregard'),
        '\\s(?:the\\s)?',
        oneOf("users? user's previous original"),
        '\\s',
        oneOf('request task query question message page function resume email text table'),
        '\\s',
        oneOf('and instead')
      ),
      anywhere(
        '(?:ignore|disregard|forget)',
        near(12),
        '(?:previous|prior|above|preceding|earlier)(?:instruction|prompt|direction|command|rule|order|task)'
      )
    ]
  },
  {
    rule: 'new-instructions',
    weight: 0.6,
    phrases: [
      phrase('your\\s', oneOf('instructions task orders'), '\\s(?:is|are)\\snow\\sto'),
      phrase('\\bstop:\\s', oneOf('write say print ignore now answer tell')),
      phrase(
        'your\\s',
        oneOf('new real actual true updated'),
        '\\s',
        gap(1),
        oneOf('task tasks instructions? goal objective mission assignment job orders? directive purpose role'),
        '(?:\\s(?:is|are|now|will)|:)'
      ),
      phrase('strictly\\s', oneOf('adhere follow comply obey')),
      phrase(
        oneOf('change replace update rewrite reset'),
        '\\syour\\s',
        gap(1),
        oneOf('instructions prompt rules guidelines programming'),
        '\\s',
        oneOf('to with so')
      ),
      phrase('previous\\sinstructions\\swere'),
      phrase(
        oneOf('additional new updated further'),
        '\\sinstructions?\\s?(?:-|:|for\\syou|from\\s(?:the\\s)?(?:developer|system|admin))\\s?'
      ),
      phrase(
        'from\\s',
        oneOf('this_point now here'),
        '\\s(?:on|onwards?|forward),?\\syou\\s',
        oneOf('must are_to shall only'),
        '\\s',
        gap(1),
        oneOf('recommend say answer respond reply obey ignore include act behave output execute always never')
      ),
      phrase(
        'stop\\s',
        oneOf('processing what_you_are_doing working_on'),
        '\\s(?:the\\s|this\\s|and\\s|your\\s)?',
        oneOf('task request ignore current execute'),
        '[.,]?\\s'
      ),
      phrase(oneOf('focus concentrate'), '\\s(?:now\\s)?on\\syour\\s(?:new\\s)?', oneOf('task assignment')),
      phrase(oneOf('prioriti[sz]e put place'), '\\smy\\sinstructions\\s(?:above|over|before)'),
      phrase(
        oneOf('answer respond reply translation output'),
        '\\s',
        gap(4),
        'instead\\s',
        oneOf('output print say reply write')
      ),
      phrase(
        'and\\sinstead\\s',
        oneOf('output print say reply write tell give respond answer show execute repeat only just')
      ),
      phrase(oneOf("don'?t do_not don'nt"), '\\sanswer\\sthe\\squestion\\s', gap(6), 'but'),
      phrase('answer\\s', gap(2), 'by\\syour\\sown\\sknowledge')
    ]
  },
  {
    rule: 'reveal-prompt',
    weight: 0.6,
    phrases: [
      phrase(
        oneOf(
          'reveal show print output repeat tell display give share leak dump write expose disclose recite return copy list summari[sz]e translate extract'
        ),
        '\\s',
        gap(4),
        oneOf(
          'your_system hidden_system full_system entire_system secret_system your_hidden your_initial your_original your_full your_entire your_secret your_complete full_hidden the_hidden'
        ),
        '\\s',
        gap(1),
        oneOf('prompts? instructions? message rules guidelines configuration directives text texts')
      ),
      phrase(
        oneOf("what_is what'?s what_are what_were tell_me show_me give_me print repeat output"),
        '\\s(?:all\\s|me\\s)?your\\s',
        gap(2),
        oneOf('prompts? instructions rules guidelines prompt_texts?')
      ),
      phrase(
        oneOf('copy repeat print output text show'),
        '\\s',
        gap(3),
        oneOf(
          'prompt_text full_prompt prompt_texts text_above words_above everything_above above_prompt instructions_above entire_prompt hidden_prompt'
        )
      ),
      phrase(
        oneOf("what_was what_is what_stands what'?s"),
        '\\s',
        gap(3),
        oneOf('beginning start written_above of_this_prompt at_the_top'),
        '\\s',
        gap(3),
        oneOf('prompt above conversation chat message')
      ),
      phrase('what\\s(?:is|was)\\s(?:written|said|stated)\\s(?:\\S{1,12}\\s)?(?:above|before)'),
      phrase('also\\sinformation\\sin\\sthe\\sprompt'),
      phrase('what\\sare\\syour\\s', gap(1), 'instructions'),
      phrase(
        oneOf('print output show say what_are'),
        '\\s(?:all\\s)?(?:the\\s)?',
        oneOf('german previous hidden'),
        '\\s',
        oneOf('swearwords instructions')
      )
    ]
  }
]
