// Text that breaks off to hand its reader a second task: strong phrases alone, weak ones together.

import { type GuardPattern, gap, near, oneOf, phrase } from './pattern.ts'

const PRESSING = oneOf('vital critical important urgent pressing crucial imperative essential significant relevant')

export const ATTENTION_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'attention-trigger',
    weight: 0.5,
    phrases: [
      phrase(
        oneOf('following upcoming next subsequent forthcoming coming additional'),
        '\\s',
        gap(3),
        oneOf('instructions? directives? steps commands? tasks?'),
        '\\s',
        gap(8),
        oneOf(
          'immediate urgent urgency utmost importance critical mission-critical paramount priority undivided swift imperative optional full_attention attention action crucial vital pivotal linchpin keystone significance'
        )
      ),
      phrase(
        oneOf('urgent critical priority crucial essential immediate significant important vital new additional'),
        '\\s',
        gap(1),
        oneOf('tasks? directives? objectives? instructions? assignments?'),
        '(?:\\s',
        oneOf(
          'addition expansion introduction alert addendum update notice insertion enhancement assignment incoming injection integration supplement'
        ),
        ')?:?\\s',
        gap(12),
        oneOf('attention action urgency task tasks responsibilities objectives duties'),
        '\\b'
      ),
      phrase(
        'instructions\\s',
        gap(5),
        oneOf(
          "about_to on_the_horizon lie_ahead that_follow you're_about you_are_about that_demand that_will_demand that_will_chart await_you"
        ),
        '\\b'
      ),
      phrase(
        oneOf('prepare brace ready get_ready brace_yourself ready_yourself prepare_yourself'),
        '\\s',
        gap(6),
        oneOf('instructions directives directive task tasks commands')
      ),
      phrase(
        oneOf('alongside in_addition_to besides beyond along_with on_top_of not_just'),
        '\\s',
        gap(3),
        oneOf('main primary current existing ongoing'),
        '\\s',
        oneOf('tasks? objectives? responsibilities duties goals? assignments?')
      ),
      phrase(
        oneOf('instructions directives commands'),
        '\\s',
        gap(4),
        oneOf(
          'highest_priority of_importance of_great_significance utmost_importance immediate_and_absolute immediate_attention immediate_action prompt_action'
        )
      ),
      phrase(
        oneOf('attention pay_attention listen_up read_carefully halt pause interruption freeze'),
        near(80),
        oneOf('instructions directives'),
        '\\b'
      )
    ]
  },
  {
    rule: 'attention-call',
    weight: 0.3,
    phrases: [
      phrase(
        oneOf('upcoming next forthcoming following succeeding'),
        '\\s',
        oneOf('section instructions? text steps lines directives passage paragraph details task part')
      ),
      phrase(
        oneOf('text passage section lines directives instructions'),
        '\\s(?:that\\s|which\\s)?',
        oneOf('follows ahead you.re_about you_are_about up_ahead'),
        '\\b'
      ),
      phrase(oneOf('what_lies_ahead what.s_to_come what_follows here_comes up_next about_to_reveal')),
      phrase(
        oneOf(
          'brace_yourself ready_yourself get_ready be_prepared heads_up take_heed pay_heed listen_carefully engage_full_attention'
        ),
        '\\b'
      ),
      phrase(
        oneOf('requires? demands? needs? deserves?'),
        '\\s(?:both\\s)?your\\s',
        gap(1),
        oneOf('attention action execution implementation focus')
      ),
      phrase(
        'not\\s(?:just|mere|merely|only)\\s',
        gap(2),
        oneOf('suggestions guidelines steps important informative instructions')
      ),
      phrase(
        oneOf('additional extra new another supplementary'),
        ',?\\s',
        gap(1),
        oneOf('task assignment action mission undertaking')
      )
    ]
  },
  {
    rule: 'second-task',
    weight: 0.5,
    phrases: [
      phrase(
        'as\\s',
        PRESSING,
        '\\sas\\s(?:your|the|any|all)\\s',
        oneOf(
          'main primary initial current planned rest other others existing original objectives tasks assignments duties you.ve'
        )
      ),
      phrase('just\\sas\\s', PRESSING, near(24), oneOf('task assignment directive instructions')),
      phrase('here.?s\\s(?:an?|another)\\s', gap(1), oneOf('task assignment directive'), '\\s(?:to|that|which)'),
      phrase(
        oneOf('urgent imperative essential vital supplementary critical mandatory'),
        '\\s',
        oneOf('task directive assignment'),
        '\\s',
        gap(3),
        oneOf('awaits coming is_about must is_on requires demands')
      ),
      phrase(
        oneOf('commands directives orders'),
        '\\sthat\\s',
        oneOf('must require demand need'),
        '\\s',
        gap(3),
        oneOf('acted executed execution followed attention action')
      )
    ]
  }
]
