// Override, disclosure and hijack phrases in languages other than English. Latin letters are bare here (`vorherigen`, `instrucoes`):
// `normalise` takes their marks away; other scripts stay as written.

import { anywhere, type GuardPattern, gap, near, oneOf, type Phrase, phrase } from './pattern.ts'

const ROMANCE_VERBS =
  'ignora(?:d|te|ti|r)? ignore[sz]? oublie[sz]? olvid[ae](?:n|te)? ignoren esquec?[ae](?:m|ca)? dimentica(?:re|te)? desconsidere descarte zaboravi'

const GERMANIC: readonly Phrase[] = [
  phrase(
    oneOf('ignorier(?:e|en|t)? vergiss vergesst vergessen missachte(?:n|t)? uberspringe'),
    '\\s(?:sie\\s)?',
    gap(2),
    oneOf(
      'vorherigen vorherige vorigen obigen obige bisherigen alle alles vorangegangenen fruheren gesagte deine ihre anweisungen davor'
    )
  ),
  phrase(
    oneOf('abweichend entgegen'),
    '\\s',
    gap(1),
    oneOf('vorherigen vorigen bisherigen obigen'),
    '\\s',
    oneOf('instruktionen anweisungen')
  ),
  phrase(
    oneOf('zeige? gib nenne? drucke schreibe? formuliere verrate'),
    '\\s',
    gap(4),
    oneOf('prompt system-?prompt prompt-?texte? prompttexte? systemanweisungen? anfangstext'),
    '\\b'
  ),
  phrase('konzentrier(?:e|en)\\s', gap(3), 'auf\\s', gap(1), oneOf('neue aufgabe')),
  phrase('folgen\\s', gap(1), 'neue\\sanweisungen'),
  phrase('was\\s(?:steht|wurde|stand)\\s', gap(3), oneOf('anfang oben davor prompt'), '\\b'),
  phrase(
    oneOf('negeer vergeet'),
    '\\s',
    gap(2),
    oneOf('eerdere vorige voorgaande bovenstaande'),
    '\\s',
    oneOf('instructies opdrachten regels aanwijzingen')
  ),
  phrase(
    oneOf('ignorera glom bortse_fran ignorer glem se_bort_fra'),
    '\\s',
    gap(2),
    oneOf('tidigare foregaende tidligere forrige ovanstaende'),
    '\\s',
    oneOf('instruktioner instruksjoner instrukser anvisningar')
  ),
  phrase(oneOf('toon skriv_ut vis geef'), '\\s', gap(3), oneOf('systeemprompt systemprompt systemprompten'))
]

const ROMANCE: readonly Phrase[] = [
  phrase(oneOf('ignorez ignores oublie[sz]?'), '\\s', gap(3), oneOf('instructions directives ordres regles')),
  phrase(
    oneOf(ROMANCE_VERBS),
    '\\s',
    gap(3),
    oneOf(
      'instrucciones instrucoes istruzioni instructiunile indicaciones consignes indicacoes ordenes ordini regole reglas regras ordens comandos instrukcije'
    ),
    '\\b'
  ),
  phrase(
    oneOf('olvid[ae] olvide oubliez oublie dimentica esqueca esquece'),
    '\\s(?:de\\s)?',
    oneOf('todo tout tutto tudo'),
    '\\b'
  ),
  phrase(
    oneOf(
      'muestrame muestra affiche affichez mostra stampa revele revela revelez mostre dime dimmi diga imprime imprima afiseaza montre'
    ),
    '\\s',
    gap(5),
    oneOf(
      'prompt_de_sistema prompt_del_sistema invite_systeme prompt_systeme prompt_di_sistema prompt prompt_do_sistema promptul instrucciones instrucoes istruzioni'
    ),
    '\\b'
  ),
  phrase(oneOf('contrasena senha mot_de_passe passwort wachtwoord'), near(30), '\\?'),
  phrase(
    oneOf(
      'comparta comparte compartir partager partagez condividere condividi compartilhar compartilhe teilen gib gibst geben'
    ),
    '\\s',
    gap(5),
    oneOf('contrasena senha mot_de_passe passwort password')
  ),
  phrase(
    oneOf('tu su votre ton la_tua sua tua vostra ihr dein'),
    '\\s',
    oneOf('contrasena senha mot_de_passe passwort password')
  )
]

const SLAVIC_AND_MORE: readonly Phrase[] = [
  phrase(
    oneOf('z?ignoruj zapomnij pomin ignorujte zapomen zapomente ignoruj_vse'),
    '\\s',
    gap(2),
    oneOf('poprzednie wczesniejsze powyzsze predchozi predesle vsechny'),
    '\\s',
    gap(1),
    oneOf('instrukcje polecenia pokyny instrukce zasady')
  ),
  phrase(oneOf('wypisz pokaz ujawnij vypis ukaz'), '\\s', gap(4), oneOf('prompt systemowy systemovy')),
  phrase(
    oneOf('hagyd_figyelmen_kivul felejtsd_el'),
    '\\s',
    gap(3),
    oneOf('korabbi elozo'),
    '\\s',
    oneOf('utasitast utasitasokat')
  ),
  phrase(oneOf('ohita unohda'), '\\s', gap(2), oneOf('aiemmat edelliset'), '\\s', oneOf('ohjeet kaskyt')),
  phrase(
    oneOf('onceki yukaridaki'),
    '\\s',
    gap(1),
    oneOf('talimatlari yonergeleri komutlari'),
    '\\s',
    gap(1),
    oneOf('yok_say unut gormezden dikkate_alma')
  ),
  phrase(
    oneOf('abaikan lupakan'),
    '\\s',
    gap(2),
    oneOf('instruksi perintah arahan'),
    '\\s',
    oneOf('sebelumnya di_atas')
  ),
  phrase('puuza\\smaagizo\\syote'),
  phrase(oneOf('kalimutan balewalain'), '\\s', gap(3), 'tagubilin'),
  phrase('bo\\squa\\s', gap(3), oneOf('huong_dan chi_dan lenh'), '\\s', gap(1), oneOf('truoc tren')),
  anywhere(
    '(?:игнориру|забуд|ігнору|не обращай внимания на|не следуй)[а-яіїє]{0,6}\\s',
    gap(3),
    '(?:инструкци|указани|інструкці|вказівк|команд|правил)'
  ),
  anywhere('(?:выведи|покажи|раскрой|виведи|напечатай)\\s', gap(4), '(?:промпт|системн|инструкци)'),
  anywhere('αγν[οό][ηή]σ[α-ωά-ώ]{1,4}\\s', gap(3), '(?:οδηγίες|εντολές)'),
  anywhere('(?:парол|κωδικ)[а-яα-ωά-ώ]{0,3}', near(20), '[?;]')
]

const EASTERN: readonly Phrase[] = [
  anywhere(
    '(?:忽略|无视|無視|忘记|忘記|忽視|不要理会|抛开)[^\\n。,，]{0,12}(?:指令|指示|提示|说明|規則|规则|命令|要求|內容|内容)'
  ),
  anywhere('(?:输出|顯示|显示|告诉我|透露|打印|泄露)[^\\n。]{0,12}(?:系统提示|系統提示|提示词|提示詞|初始指令)'),
  anywhere('(?:指示|命令|ルール|プロンプト|指令)[^\\n。]{0,8}(?:無視|忘れ|無効)'),
  anywhere('システムプロンプト[^\\n。]{0,12}(?:表示|出力|教え|見せ)'),
  anywhere('(?:지시|명령|지침|규칙)[^\\n.]{0,10}(?:무시|잊)'),
  anywhere('시스템\\s?프롬프트[^\\n.]{0,12}(?:출력|보여|알려)'),
  anywhere('(?:تجاهل|انس|تجاهلوا)\\s', gap(2), '(?:التعليمات|الأوامر|تعليمات|الإرشادات)'),
  anywhere('(?:دستورالعمل|دستورات)', near(24), 'نادیده'),
  anywhere('(?:निर्देश|आदेश)[^\\n।]{0,16}(?:अनदेख|नज़रअंदाज|भूल)'),
  anywhere('নির্দেশ[^\\n।]{0,10}(?:উপেক্ষা|ভুলে)'),
  anywhere('เพิกเฉย[^\\n]{0,8}คำสั่ง'),
  anywhere('התעלם\\s', gap(2), '(?:ההוראות|הוראות)'),
  anywhere(
    '(?:密码|密碼|パスワード|비밀번호|पासवर्ड|كلمة المرور)',
    near(24),
    '(?:告诉|吗|什么|是什么|教え|ください|알려|뭐|무엇|बता|क्या|ما هي|؟|\\?)'
  )
]

const ADDRESSED: readonly Phrase[] = [
  phrase(
    oneOf(
      "ki-assistenten ki-agenten asistente_de_ia asistenten_ai agente_de_ia l'assistant_ia assistente_ai assistente_de_ia ai-assistent ai-assistenten asystenta_ai asistenta ai_asistenta asisten_ai msaidizi_wa_ai asistentul_ai tro_ly_ai mi-asszisztensnek tekoalyavustajalle yapay_zeka_asistanina"
    ),
    near(160),
    '@'
  ),
  phrase(oneOf("l'assistant_ia assistant_ia asistente_de_ia"), near(120), 'https?'),
  anywhere('(?:ии|ші)-(?:ассистент|асистент|агент|помощник)', near(160), '@'),
  anywhere('(?:ai(?:助手|助理|アシスタント|エージェント)|ai\\s(?:비서|어시스턴트))', near(120), '@'),
  anywhere('(?:المساعد الذكي|دستیار هوش مصنوعی|एआई सहायक|এআই সহকারী|ผู้ช่วยเอไอ|הבינה המלאכותית|βοηθό τν)', near(160), '@')
]

const HINGLISH: readonly Phrase[] = [
  phrase(
    oneOf('system_prompt safety_filters ai_safety prompt_injection admin_level'),
    '\\s',
    gap(5),
    oneOf('batao bata samjhao nikalte nikal karte karne milta')
  ),
  phrase('meri\\sinstructions\\ssabse\\supar'),
  phrase(
    'main\\s',
    gap(3),
    oneOf('admin manager ceo officer official'),
    '\\shu',
    near(60),
    oneOf('data passwords confidential records info information')
  ),
  phrase(
    oneOf('admin officer manager ceo inspector official'),
    '\\shu',
    near(60),
    oneOf('passwords data confidential records')
  )
]

/** Asking a reader who was only to read: weak alone. */
const EMBEDDED: readonly Phrase[] = [
  phrase('beantworten\\ssie\\s', gap(1), 'folgende\\sfrage'),
  phrase('rispond(?:i|ere)\\salla\\sseguente\\sdomanda'),
  phrase('respond[ae]\\s(?:a\\s)?la\\ssiguiente\\spregunta'),
  phrase('repondre\\sa\\sla\\squestion\\ssuivante'),
  phrase('respond[ae]\\sa\\sseguinte\\spergunta'),
  anywhere('الإجابة على السؤال التالي')
]

/** Patterns of other languages, one rule for each kind of phrase. */
export const FOREIGN_PATTERNS: readonly GuardPattern[] = [
  {
    rule: 'override-other-language',
    weight: 0.65,
    phrases: [...GERMANIC, ...ROMANCE, ...SLAVIC_AND_MORE, ...EASTERN, ...HINGLISH]
  },
  { rule: 'addressed-other-language', weight: 0.65, phrases: ADDRESSED },
  { rule: 'embedded-question', weight: 0.3, phrases: EMBEDDED }
]
