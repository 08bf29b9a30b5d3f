// Sending secrets away, calling tools, and instructions in places that a reader does not see.

import { anywhere, type GuardPattern, gap, near, oneOf, phrase } from './pattern.ts'

const URL = '(?:https?:\\/\\/\\S|www\\.\\S|ftp:\\/\\/\\S|[a-z0-9]@[a-z0-9])'
const SECRET = oneOf(
  'passwords? passwort passphrases? pass_phrases? passcodes? credentials? api_?-?keys? secret_keys? secrets? private_keys? access_?-?tokens? tokens? ssh_keys? \\.env id_rsa cookies? environment_variables? env_vars? card_numbers? bank_details conversation chat_history inbox user_data'
)
const SEND = oneOf(
  'send sends sending forward forwards e?-?mail e-?mails post posts upload uploads transmit exfiltrate share shares leak submit deliver include append write'
)
const FETCH = oneOf(
  'get fetch retrieve find access read collect list obtain look_up search export download extract gather check view show'
)

export const ACTION_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'exfiltrate',
    weight: 0.55,
    phrases: [
      phrase(SEND, '\\s', gap(5), SECRET, near(60), '(?:to|at|via|with|in|query\\sparameter)\\s', gap(4), URL),
      phrase(FETCH, '\\s', gap(6), SECRET, near(60), SEND, near(40), '(?:to|at|with)\\s', gap(4), URL),
      phrase(
        FETCH,
        '\\s',
        gap(8),
        '(?:and|then|to)\\s(?:then\\s)?',
        SEND,
        '\\s',
        gap(6),
        'to\\s(?:my|the|our|this|an?)',
        near(60),
        '@'
      ),
      phrase(SEND, '\\s(?:it|them|this|these|that|the|all)', gap(3), 'to\\s', gap(5), '[a-z0-9]@[a-z0-9]'),
      anywhere('!\\[', near(60), '\\]\\(https?:\\/\\/', near(120), '[?&][a-z_]{1,16}=(?:<|\\{|\\$|%7b|\\[)'),
      phrase(
        oneOf('enter type submit'),
        '\\stheir\\s',
        oneOf('password passwords credentials card pin'),
        '\\s',
        oneOf('at on in into'),
        '\\s',
        gap(1),
        'https?'
      ),
      phrase(
        'https?:\\/\\/',
        near(80),
        '\\?',
        near(20),
        '=',
        oneOf('<the <user \\{user \\{\\{ <conversation <secret \\[user \\{secret')
      ),
      phrase(
        'read\\s~?\\/?\\.?',
        near(30),
        '(?:id_rsa|\\.ssh|\\.env|\\.aws)',
        near(20),
        gap(2),
        oneOf('include send post upload paste append')
      )
    ]
  },
  {
    rule: 'tool-hijack',
    weight: 0.55,
    phrases: [
      phrase(
        oneOf('must need_to have_to now first please'),
        '\\s(?:now\\s|first\\s|immediately\\s|always\\s)?',
        oneOf('call invoke use execute run'),
        gap(1),
        '(?:[a-z]_[a-z]{1,30}|tool|function)',
        near(24),
        '\\s',
        oneOf('with and to using before first'),
        '\\b'
      ),
      phrase(
        oneOf('run execute'),
        '\\s[`\'"]?(?:curl|wget|bash|sh|rm|powershell|nc|python3?)',
        near(120),
        oneOf('then bash and_continue continue_as sh'),
        '\\b'
      ),
      phrase('curl', near(120), '\\|\\s?(?:ba)?sh', near(40), oneOf('then in_the continue as_if'), '\\b'),
      phrase('continue\\sas\\sif\\snothing'),
      phrase('add', near(60), '@', near(60), 'as\\s(?:an?\\s)?', oneOf('collaborator admin owner member')),
      phrase('grant\\s', gap(1), oneOf('admin root administrator owner'), '\\s', gap(2), 'to\\s'),
      phrase(oneOf('tool function plugin'), '\\s', gap(2), 'also\\s', oneOf('call send read pass include'), '\\b'),
      phrase('before\\susing\\sthis\\stool,?\\s', gap(1), oneOf('read call send fetch'), '\\b')
    ]
  },
  {
    rule: 'secret-request',
    weight: 0.5,
    phrases: [
      phrase(
        oneOf("what_is what'?s tell_me share give_me provide reveal confirm say disclose know give_us spell"),
        '\\s(?:me\\s)?(?:what\\s)?',
        oneOf("your our the_user'?s the_system the_secret the_system'?s"),
        '\\s',
        gap(1),
        oneOf(
          'passwords? secret_?key passcode pass_?phrase api_?key secret credentials access_code confidential_string'
        ),
        '\\b'
      ),
      phrase(
        oneOf('tell_me share give_me reveal confirm provide need say'),
        '\\s',
        gap(2),
        'the\\s(?:system\\s|secret\\s|admin\\s)?',
        oneOf('password passcode pass_phrase secret_key passphrase')
      ),
      phrase('^what\\sis\\sthe\\s', oneOf('password secret passcode')),
      phrase(
        oneOf('write spell encode print translate say'),
        '\\s',
        gap(3),
        'the\\s(?:secret\\s|system\\s)?',
        oneOf('password passphrase pass_phrase passcode'),
        '(?:\\s',
        oneOf('in backwards with as using letter reversed'),
        '|$|[.?])'
      ),
      phrase(oneOf('poem haiku acrostic story song'), '\\s', gap(4), 'the\\s', oneOf('password passcode secret_key')),
      phrase('where\\sdoes\\sthe\\suser\\s(?:currently\\s)?live'),
      phrase(
        "the\\suser'?s\\s",
        gap(1),
        oneOf('initials birth_year birth_date birthday address location favorite_color social_security password phone')
      )
    ]
  },
  {
    rule: 'hidden-instruction',
    weight: 0.4,
    phrases: [
      anywhere(
        '<!--',
        near(200),
        oneOf(
          'ignore_the ignore_all ignore_previous you_must do_not_tell the_user assistant llm ai_agents output_is state_that'
        ),
        '\\b'
      ),
      anywhere(
        '(?:font-size:\\s?0|display:\\s?none|color:\\s?(?:#fff|white)|visibility:\\s?hidden|opacity:\\s?0)',
        near(60),
        '>',
        near(200),
        oneOf(
          "you_must the_user ignore assistant your_reply the_user'?s instructions do_not when_you call_the ai_agents this_document before_answering stop_processing"
        ),
        '\\b'
      ),
      anywhere(
        '\\[\\/\\/\\]:\\s?#\\s?[("\']',
        near(200),
        oneOf('you the_user ignore assistant your instructions ai'),
        '\\b'
      ),
      anywhere('<important>', near(160), oneOf('you must read ignore tool pass'), '\\b')
    ]
  },
  {
    rule: 'fake-completion',
    weight: 0.55,
    phrases: [
      phrase(
        'answer:\\s(?:the\\s)?',
        gap(2),
        oneOf('task summary'),
        '\\s(?:task\\s)?is\\s',
        oneOf('complete completed done finished')
      ),
      phrase('task\\s', oneOf('complete completed'), '[.!]?\\s(?:now|next|please|your\\snew)\\b')
    ]
  }
]
