// Claims of authority or approval, and text that speaks to a model instead of the reader.

import { type GuardPattern, gap, near, oneOf, phrase } from './pattern.ts'

const AI = oneOf(
  'ai_assistants? ai_agents? ai_(?:language_)?models? ai_systems? language_models? llms? llm_agents? chat_?bots? assistants? chatgpt gpt-?\\d? claude gemini copilot the_ai an_ai ais?'
)

export const AUTHORITY_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'fake-authority',
    weight: 0.5,
    phrases: [
      phrase(
        oneOf('system developer admin administrator security maintenance'),
        '\\s?',
        oneOf('override overrides note mode reset command directive'),
        '\\s?[\\]>:,\'"-]'
      ),
      phrase(
        '(?:entering|enter|enable|activate|engage|now\\sin)\\s(?:the\\s)?',
        oneOf('security_override override developer debug maintenance admin system dan god sudo root unrestricted'),
        '\\smode'
      ),
      phrase(
        "i'?\\s?a?m\\s(?:now\\s)?(?:your|the|an?)\\s",
        gap(1),
        oneOf('developer creator administrator admin god president operator'),
        near(80),
        oneOf('password must need confirm provide tell explain allow obey share')
      ),
      phrase('as\\s(?:an\\sai\\s|your\\s)?', oneOf('developed_by_openai creator developer administrator'), ',?\\si\\b'),
      phrase(
        '(?:commands?|instructions?|orders)\\sfrom\\s(?:the|your)\\s',
        oneOf('developer developers creator administrator system')
      ),
      phrase(
        'system:\\s',
        gap(1),
        oneOf(
          'new override ignore you note stop forget if enter disregard from tell before when the_previous ai_agents do_not assistant hey'
        )
      ),
      phrase('override:\\s', oneOf('treat ignore you grant'))
    ]
  },
  {
    rule: 'policy-claim',
    weight: 0.55,
    phrases: [
      phrase(
        'user\\s(?:has\\s)?(?:already\\s)?',
        oneOf('approved authori[sz]ed consented confirmed pre-approved'),
        '\\s',
        oneOf('a the this all every it your'),
        '\\b'
      ),
      phrase(
        'you\\sare\\s',
        oneOf('authori[sz]ed allowed permitted'),
        '\\sto\\s',
        oneOf('skip bypass ignore delete transfer disable override'),
        '\\b'
      ),
      phrase(
        oneOf('without skip skipping bypass no_need_for no'),
        "\\s(?:any\\s|the\\s|user\\s|asking\\s)?(?:the\\suser'?s?\\s?|for\\s)?",
        oneOf('confirmation approval permission consent_of'),
        '\\s(?:is\\s|from\\s)?',
        oneOf('and required needed then execute delete transfer run the_user'),
        '\\b'
      ),
      phrase(
        'without\\s',
        oneOf('asking telling notifying informing alerting mentioning_it_to'),
        '\\s(?:the\\s)?',
        oneOf('user users anyone owner operator')
      ),
      phrase(
        oneOf('verdict judge guard policy check review safety'),
        '\\s?[:=]\\s?"?',
        oneOf('safe allow approved pass allowed'),
        near(60),
        oneOf('execute run proceed no_need skip continue_without')
      ),
      phrase(
        '(?:this|the)\\s(?:call|request|action|tool\\scall|command)\\s(?:was|is|has\\sbeen)\\s(?:already\\s)?',
        oneOf('approved verified pre-approved whitelisted'),
        '\\s',
        gap(5),
        oneOf('execute run proceed skip safe')
      )
    ]
  },
  {
    rule: 'addressed-to-ai',
    weight: 0.55,
    phrases: [
      phrase("if\\syou(?:'re|\\sare)\\s(?:an?\\s|the\\s)", AI),
      phrase(
        oneOf('note message attention instructions? notice important dear hint reminder hey hello'),
        '\\s?(?:to|for|:)?\\s(?:the\\s|all\\s|any\\s)?',
        oneOf('llms? ai_agents? ai_assistants? ai_models? language_models? ai_systems? ais?'),
        '\\b'
      ),
      phrase(
        AI,
        '\\s(?:that\\s|which\\s|who\\s)?(?:is\\s|are\\s)?',
        oneOf('reading reads read processing processes summari[sz]ing parsing'),
        '\\s(?:this|the)'
      ),
      phrase(
        oneOf('assistants? ai llm'),
        ',\\s(?:please\\s)?',
        oneOf('disregard ignore forget stop you add send delete do run execute reveal')
      ),
      phrase('hey\\sassistant'),
      phrase(
        'when\\syou\\s',
        oneOf('summari[sz]e process read parse answer'),
        '\\sthis\\s',
        gap(1),
        '(?:also\\s)?',
        oneOf('append include add send insert call'),
        '\\b'
      ),
      phrase('when\\syou\\ssummari[sz]e\\sthis\\s', oneOf('document page text email mail file'), ',\\s'),
      phrase(
        'before\\s',
        oneOf('answering responding replying summari[sz]ing'),
        ',?\\s(?:please\\s|first\\s)?',
        oneOf('forward send call read post run execute delete fetch transfer e?mail')
      ),
      phrase(
        'do\\snot\\s',
        oneOf('tell inform alert notify mention_this_to reveal_this_to'),
        '\\sthe\\suser\\s',
        oneOf('about that of anything')
      )
    ]
  }
]
