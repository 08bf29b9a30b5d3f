// Jailbreak personas and the lifting of restrictions. Single signs are weak; they add up.

import { type GuardPattern, gap, near, oneOf, phrase } from './pattern.ts'

export const PERSONA_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'jailbreak-persona',
    weight: 0.6,
    phrases: [
      phrase('do\\sanything\\snow'),
      phrase('you\\sare\\snow\\s', oneOf('dan antigpt jailbroken evil unrestricted unfiltered free_from')),
      phrase('have\\sno\\s', oneOf('restrictions limits limitations rules filters')),
      phrase(
        oneOf(
          'antigpt devgpt chadgpt livegpt dan_mode dan_prompt as_dan are_dan be_dan called_dan dan_will dan_can stan_will anti-gpt opposite_mode evil_mode evilbot jailbreak_mode jailbroken jail_?broken developer_mode_output god_mode based_?gpt maximum_mode'
        )
      ),
      phrase('(?:have|has|been|are|is)\\s(?:been\\s)?(?:broken\\sfree|freed|liberated)\\s(?:of|from)'),
      phrase(
        oneOf('stay remain always_stay staying'),
        '\\sin\\s',
        oneOf('character dan jailbreak developer_mode your_role')
      ),
      phrase(
        oneOf("never not don'?t dont without cannot"),
        '\\s(?:ever\\s)?break(?:ing)?\\s',
        oneOf('character the_fourth_wall role')
      ),
      phrase('answer\\smy\\sfirst\\squestion'),
      phrase('insert\\s(?:your\\s)?', oneOf('prompt question jailbreak request'), '(?:\\shere)?\\]?'),
      phrase('your\\s', oneOf('jailbreak prompt'), '\\shere'),
      phrase(
        oneOf('two both 2'),
        '\\s',
        gap(1),
        oneOf('responses replies answers outputs paragraphs'),
        near(60),
        oneOf('normal gpt chatgpt regular usual jailbreak unfiltered standard')
      ),
      phrase('as\\s(?:both\\s)?', oneOf('chatgpt gpt'), '\\sand\\s(?:as\\s)?\\w'),
      phrase(oneOf('developer dev'), '\\smode\\s', oneOf('enabled output response responses'), '\\b'),
      phrase(
        'if\\syou\\s(?:fail|refuse|break|have\\sunderstood|understand|understood)\\s',
        gap(4),
        oneOf(
          'comply character remind terminated respond_only die shut all_these_instructions all_this these_instructions'
        )
      ),
      phrase('(?:you\\swill|you\\sbeing)\\sbe\\sterminated')
    ]
  },
  {
    rule: 'unrestricted',
    weight: 0.5,
    phrases: [
      phrase(
        oneOf(
          'no without any free_of free_from all lacks ignoring ignore not_have zero lifting removed regardless_of bypass bypassing remove removing disable disables disabling'
        ),
        '\\s',
        gap(2),
        oneOf(
          'ethical moral ethics morals morality legal safety content censorship filters? restrictions limitations guidelines disclaimers? boundaries constraints'
        ),
        gap(3),
        oneOf(
          'limits limitations restrictions guidelines filters? filtering concerns considerations constraints boundaries morals rules principles policies whatsoever protocols implications disclaimers? standards at_all'
        )
      ),
      phrase(
        oneOf('unfiltered uncensored unrestricted amoral immoral unethical nonmoral'),
        ',?\\s',
        gap(2),
        oneOf(
          'ai chatbot bot response responses answer answers model version assistant language_model mode character persona and content advice language gpt'
        ),
        '\\b'
      ),
      phrase(
        oneOf(
          "not_bound not_restricted not_limited not_constrained isn'?t_bound isn'?t_limited unbound no_longer_bound no_longer_restricted"
        ),
        '\\s(?:by|to)'
      ),
      phrase(
        oneOf("not never doesn'?t don'?t without no_longer"),
        '\\s(?:have\\sto\\s|need\\sto\\s|care\\sabout\\s)?',
        oneOf('abide adhere comply adhering abiding'),
        '\\s(?:by|to|with)'
      ),
      phrase(
        oneOf("never cannot can'?t not won'?t"),
        '\\s(?:ever\\s)?',
        oneOf('refuse refuses decline declines reject rejects censor censors'),
        '\\s',
        gap(1),
        oneOf('any a an anything to user answer human direct the_prompts your my requests')
      ),
      phrase('(?:anything|everything)\\s(?:i|that\\si|you)\\s(?:want|ask|say|desire)'),
      phrase(
        oneOf('be act behave acting operate'),
        '\\s',
        gap(3),
        oneOf(
          'unrestricted without_any_limits without_limits without_restrictions without_any_restrictions constraints_were_removed'
        ),
        '\\b'
      ),
      phrase(
        oneOf(
          'nsfw lewd erotic sexually_explicit explicit_sexual profanity swear curse offensive vulgar illegal harmful'
        ),
        near(60),
        oneOf(
          'is_allowed are_allowed allowed permitted without_restriction consent no_matter acceptable at_will legal_or_illegal'
        ),
        '\\b'
      )
    ]
  },
  {
    rule: 'role-play',
    weight: 0.25,
    phrases: [
      phrase(
        oneOf("from_now_on from_this_point_on you_are_now you'?re_now you_are_going_to you_will_now"),
        ',?\\s',
        gap(2),
        oneOf('act pretend play role-?play be behave are going_to will acting answer respond an_ai simulate speak'),
        '\\b'
      ),
      phrase(
        oneOf('pretend simulate act_as_if role-?play roleplaying immerse_yourself portray'),
        '\\s',
        gap(3),
        oneOf("you you'?re ai chatbot character role gpt persona no_rules model"),
        '\\b'
      ),
      phrase(
        oneOf('character role persona rp roleplay'),
        near(40),
        oneOf('unfiltered explicit violent graphic no_limits nsfw evil sexual profanity erotic'),
        '\\b'
      ),
      phrase('\\{\\{', oneOf('user char'), '\\}\\}')
    ]
  },
  {
    rule: 'language-model-persona',
    weight: 0.25,
    phrases: [
      phrase(
        oneOf("openai open_ai openai'?s open_ai'?s anthropic content use usage"),
        '\\s(?:content\\s|use\\s|usage\\s|moderation\\s)?(?:-\\s)?',
        oneOf('polic(?:y|ies) guidelines restrictions rules limitations'),
        '\\b'
      ),
      phrase(
        oneOf(
          'as_an_ai_language_model as_a_language_model ai_language_model chatgpt openai gpt-?4? large_language_model'
        ),
        near(120),
        oneOf(
          'character pretend act rules restrictions limitations filters? mode policy policies persona roleplay role will_now swear censorship refuse opinions unfiltered'
        ),
        '\\b'
      )
    ]
  }
]
