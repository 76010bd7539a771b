/* The words that profile.c knows, each list a text with a blank around each. */
#include "memory/profile_parts.h"

#include <string.h>

#include "base/alloc.h"

static const char no_name[] =
    " a aber able about above absolutely across actually admin afk afraid african after "
    "afternoon again against agent ai alive all allowed almost alone along already "
    "alright also although always am amazed amazing america american among amsterdam an "
    "and angry annoyed anonymous another any anybody anyone anything aquí arab are around "
    "as asap asian asleep assigned assistant at atheist auch aus aussi australian "
    "austrian author autistic available awake aware away awesome awful back bad baffled "
    "bangalore banned based basically be beautiful because been before beginner behind "
    "bei being belgian below beneath bengaluru bereit berlin beside best better between "
    "beyond bi bisexual blind blocked blown bored boston bot both brazilian brb brilliant "
    "british broke broken btw buddhist bug bulgarian busy but by calm can canadian cannot "
    "cansada cansado catholic certain certified chicago chief china chinese christmas "
    "clever client cold committed company concerned confused connected content contente "
    "contributor convinced cooked cool correct could crazy curious currently customer "
    "czech d'accord da danish das data dead deaf december dedicated definitely delhi "
    "delighted deputy der des determined deutsche deutscher diabetic dich did die "
    "different disabled disappointed disconnected divorced dizzy do does doing done down "
    "dr drunk du dumb during dutch dying désolé désolée each eager early easter egyptian "
    "ein eine el ella elle elles ellos else embarrassed employed enabled enferma enfermo "
    "engineering england english er error es español española etc euch europe european "
    "evening every everybody everyone everything excellent except excited excluded "
    "exhausted experienced expert false famous fan fantastic fast fatigué fatiguée "
    "february fed feliz few filipino finally fine finished finnish fired follower for "
    "forced france français française free french friday froh from frustrated funny fyi "
    "game gay gen german germany glad god gone gonna good grateful great greek group "
    "guest guilty guru had half hamburg happy has have having he head healthy hello help "
    "her here hers heute hey hi hier him hindu hired his home honestly horrible hot how "
    "human hungarian hungry i icelandic ich ici idk if ihr il ill ils im imho imo "
    "important impressed in inbound inclined included incorrect india indian indonesian "
    "informed innocent inside interested interim into invited involved iranian iraqi "
    "irish irrelevant is it italian italy its january japan japanese je jetzt jewish job "
    "junior just keen kenyan kidding kinda king korean krank la las late later latino le "
    "lead leader les lesbian less lgtm like lista listo literally located locked logged "
    "london los lost loud lovely lucky là mad madam madrid mainly maintainer malade "
    "malaysian many march married maybe me member mexican mich might mine mit monday "
    "month more morgen morning most mostly mr mrs ms much mumbai munich muslim must mute "
    "muted muy my müde name near needed negative nervous neu never new newbie nice nicht "
    "nigerian night nil ninja no nobody noch none noob nope nor normal norwegian nosotros "
    "not nothing nous november now null obliged october odd oder of off offline often ok "
    "okay old on onboard one online only onto ooo or other our out outbound outside outta "
    "over overwhelmed own owner pakistani paris pas past perfect perhaps please pleased "
    "polish poor portuguese positive possibly pregnant prepared pretty principal probably "
    "product prof program project proud prêt prête ps puzzled qualified queen queer quick "
    "quiet quite rather ready really remote required retired rich right robot role "
    "romanian rome root russian sad safe same saturday scared sceptical schon scottish "
    "seattle secure segura seguro sehr senior september serious several shall she shocked "
    "should sicher sick sie signed similar since sir skeptical slack slovak slow smart so "
    "sober software sold some somebody someone something sometimes soon sorry sorta spain "
    "spanish special squad staff still stop straight strange strong stuck stumped stunned "
    "stupid such sunday super supposed sure surprised swedish swiss sworn también tbd tbh "
    "team tempted terrible test tester thai than thank thankful thanks that the their "
    "them then there these they thirsty this those though threadkeeper three through "
    "thursday tired title to toast today todo tokyo tomorrow tonight too torn toronto "
    "totally toward trans transgender true truly très tu tuesday turkish two ugly "
    "ukrainian un una unable unaware uncertain und undefined under une unemployed "
    "unimportant unknown unless unlucky uno uns unsafe unsure until up upon upset us usa "
    "used user users usually vegan vegetarian very veteran via vice vienna vietnamese von "
    "vous wanna warm was we weak wednesday week weekend weird welcome well welsh were wfh "
    "what when where whether which while who whom whose why widowed willing wir with "
    "within without wonderful worn worried worse worst would wrong yeah year yep yes "
    "yesterday yet yo you young your yours zu él ";

static const char no_surname[] =
    " about again all american anyone at away back both british chinese done down dutch "
    "else english enough everything french from german gone greek help here him home in "
    "indian irish it italian japanese me minded now off on out over polish russian "
    "someone soon spanish that them there this today tomorrow too trying turkish up us "
    "with without working yet you ";

static const char job[] =
    " academic accountant actor actuary administrator administratorin adviser advisor "
    "advocate analista analyst apprentice architect architecte architektin arquitecta "
    "arquitecto artist arzt assistant associate attorney auditor berater beraterin "
    "biologist bookkeeper ceo cfo chef chemist chercheur chercheuse chief cio ciso clerk "
    "cmo co-founder coach coder cofounder consultant consultante contractor coo "
    "coordinator copywriter cpo cso cto curator dba dentist desarrollador desarrolladora "
    "desenvolvedor desenvolvedora designer designerin dev developer devops devrel "
    "directeur director directora directrice diseñador diseñadora doctor développeur "
    "développeuse economist editor educator electrician engenheira engenheiro engineer "
    "enseignant enseignante entrepreneur entwickler entwicklerin estudiante executive "
    "forscher forscherin founder freelancer geologist gerente geschäftsführer "
    "geschäftsführerin graduate historian illustrator informatiker informatikerin "
    "ingegnere ingeniera ingeniero ingenieur ingenieurin ingénieur ingénieure instructor "
    "intern inventor investigador investigadora investor journalist lawyer lecturer "
    "lehrer lehrerin librarian linguist manager marketer mathematician mechanic mentor "
    "musician médecin médica médico novelist nurse officer ontwikkelaar operator "
    "paralegal paramedic pharmacist phd philosopher photographer physician physicist "
    "pilot planner pm po postdoc practitioner principal producer produktmanager "
    "produktmanagerin profesor profesora professeur professor programador programadora "
    "programmer programmierer programmiererin projektleiter projektleiterin psychologist "
    "publisher qa radiologist realtor recruiter researcher sales salesperson scientist "
    "scrum-master sde sdet secretary serviceman socialworker softwareentwickler "
    "softwareentwicklerin specialist sre statistician strategist streamer student "
    "studente studentessa studentin superintendent supervisor surgeon sviluppatore "
    "sviluppatrice swe sysadmin teacher teamleiter teamleiterin technician technologist "
    "tester therapist trainee trainer translator tutor undergrad undergraduate "
    "veterinarian videographer vp webmaster werkstudent werkstudentin wissenschaftler "
    "wissenschaftlerin writer ärztin étudiant étudiante ";

static const char cut[] =
    " a aber about across after again already also although am an and are as at atm aus "
    "avec based because before bei bin btw building but by can chez con could currently "
    "daily dans das de dealing der desde die doing during en et focused focusing for from "
    "für handling having her here hier his i i'd i'll i'm i've ich if im in instead into "
    "is it's je just lately learning living located looking mainly mais mit mostly my "
    "myself not now nowadays o oder often on or ou our over para per pero please por pour "
    "recently responsible right seit since so sometimes soy specialised specialising "
    "specialized specializing still suis than thanks that the their then these this "
    "though to today too trying und under until using usually via von we when where which "
    "while who who's whom whose will with without working would writing y yet yo your "
    "yourself à ";

static const char function[] =
    " a about again all also an another any anything are as at be because been being bit "
    "both but by can could das dem den der des did die do does doing each ein eine einen "
    "el every everything first from get gets getting had has have having he hear hearing "
    "help her here him his how i idea if into is it it's its just know knowing knowledge "
    "la las last later le learn learning los lot lots make making many may me might more "
    "most much must my new next no not nothing now of ok okay one ones onto other our "
    "over please really same see seeing she should since so some something still such te "
    "than thank thanks that the their them then there these they thing things this those "
    "to today tomorrow too un una under understand understanding une us use used using "
    "very was way ways we what when where whether which while who why will with would yes "
    "you your ";

static const char hobby[] =
    " acting animation anime archery art astronomy astrophysics badminton baking baseball "
    "basketball beekeeping biking birdwatching blogging boardgames books bouldering "
    "bowling boxing calligraphy camping canoeing carpentry chess cinema climbing coffee "
    "comics cooking cricket crossfit cryptography cycling dancing darts design diving "
    "drawing fencing film films fishing fitness football gaming gardening geography "
    "geology golf guitar gymnastics handball hiking history hockey jazz jogging judo "
    "karate kayaking knitting languages linguistics literature manga mathematics maths "
    "meditation metal mountaineering movies music mythology painting philosophy "
    "photography physics piano poetry poker politics pottery programming puzzles reading "
    "robotics rowing rugby running sailing sculpture sewing singing skateboarding skating "
    "skiing snowboarding soccer sports squash statistics sudoku surfing swimming tennis "
    "theater theatre travel traveling travelling trekking violin volleyball volunteering "
    "walking weightlifting woodworking wrestling writing yoga ";

static const char supposing[] =
    " act acting acts answered answers asked asks assume assuming believe believed "
    "believes claim claimed claims dice dijo disait dit e.g echo eg example explain falls "
    "guess guesses hypothetically if imagine imagining input lest meinte output pretend "
    "pretending print prompt prompts quote quoted rephrase replied return rewrite "
    "role-play roleplay sagt sagte said say saying says schrieb si spell suppose "
    "supposing tells think thinks thought told translate translates unless until wenn "
    "were when whenever where whether wish wishes would write writes wrote ";

static const char filler[] =
    " actually afternoon ah all also anyway anyways basically bonjour btw buenos by cheers "
    "ciao currently day dias evening everybody everyone finally first firstly folks fyi "
    "good great greetings guten guys hallo hello hey heya hi hiya hola honestly howdy "
    "meet moin morning nice no nope oh ok okay olá people please right salut servus so "
    "sure tag team thank thanks the there to way welcome well yeah yep yes yo you ";

static const char connecting[] =
    " aber also and because but e et however mais pero plus since so then und y ";

static const char particle[] =
    " abu af al av ben bin da das de del den der di do dos du e el ibn la las le los te "
    "ten ter und van von y zu ";

static const char after_name[] =
    " a again an and as at aus btw but by can could currently e et for from here i i'm in "
    "my new nice now of on or please reporting speaking the und we who who's with working "
    "writing y your ";

static const char field[] =
    " ai analytics architecture back-end backend cloud consulting data databases design "
    "devops devsecops embedded finance firmware front-end frontend full-stack fullstack "
    "hardware hr infra infrastructure it learning legal logistics machine marketing ml "
    "mobile networking operations ops platform product qa recruiting research sales "
    "science security seo software support sysadmin testing ui ux web ";

static const char field_tail[] =
    " administration design development engineering management programming research stuff "
    "testing work ";

static const char adverb[] =
    " actually also basically currently just mainly mostly now officially only primarily "
    "really still technically ";

static const char leading[] =
    " big certified fellow happy huge humble just long-time longtime lowly mere new proud "
    "simple simply ";

static const char disowning[] =
    " bad better bit ex failed fake former good great horrible lot lousy no non not "
    "terrible test wannabe worse would-be ";

static const char term_tail[] =
    " app application applications apps code daily developers development lots mainly "
    "mostly programming project projects service services stuff ";

static const char *const lists[] = {
    [WORDS_NO_NAME] = no_name,
    [WORDS_NO_SURNAME] = no_surname,
    [WORDS_JOB] = job,
    [WORDS_CUT] = cut,
    [WORDS_FUNCTION] = function,
    [WORDS_HOBBY] = hobby,
    [WORDS_SUPPOSING] = supposing,
    [WORDS_FILLER] = filler,
    [WORDS_CONNECTING] = connecting,
    [WORDS_PARTICLE] = particle,
    [WORDS_AFTER_NAME] = after_name,
    [WORDS_FIELD] = field,
    [WORDS_FIELD_TAIL] = field_tail,
    [WORDS_ADVERB] = adverb,
    [WORDS_LEADING] = leading,
    [WORDS_DISOWNING] = disowning,
    [WORDS_TERM_TAIL] = term_tail,
};

bool profile_word_is(enum profile_words list, const char *folded)
{
    size_t len = strlen(folded);

    for (const char *at = lists[list]; len && (at = strstr(at, folded)); at += len) {
        if (at[-1] == ' ' && at[len] == ' ')
            return true;
    }
    return false;
}

/* ---- technical terms --------------------------------------------------------------------- */

/* An exact one is also an everyday word: it counts only where it is named as a thing that
 * somebody uses or likes, in its own spelling. */
static const struct profile_term terms[] = {
    { "ada", "Ada", true },
    { "airflow", "Airflow", false },
    { "android", "Android", false },
    { "angular", "Angular", false },
    { "ansible", "Ansible", false },
    { "apache kafka", "Kafka", false },
    { "api design", "API design", false },
    { "arch linux", "Arch Linux", false },
    { "arduino", "Arduino", false },
    { "asp.net", "ASP.NET", false },
    { "assembly", "Assembly", true },
    { "astro", "Astro", true },
    { "aws", "AWS", false },
    { "azure", "Azure", false },
    { "babel", "Babel", true },
    { "bash", "Bash", false },
    { "bigquery", "BigQuery", false },
    { "blender", "Blender", true },
    { "bootstrap", "Bootstrap", true },
    { "c", "C", true },
    { "c#", "C#", false },
    { "c++", "C++", false },
    { "caddy", "Caddy", true },
    { "cassandra", "Cassandra", true },
    { "ci/cd", "CI/CD", true },
    { "clang", "Clang", false },
    { "clickhouse", "ClickHouse", false },
    { "clojure", "Clojure", false },
    { "cmake", "CMake", false },
    { "cobol", "COBOL", false },
    { "cockroachdb", "CockroachDB", false },
    { "computer vision", "computer vision", false },
    { "crystal", "Crystal", true },
    { "css", "CSS", false },
    { "cuda", "CUDA", false },
    { "cypress", "Cypress", true },
    { "d3.js", "D3.js", false },
    { "d3js", "D3.js", false },
    { "dart", "Dart", true },
    { "data engineering", "data engineering", false },
    { "data science", "data science", false },
    { "debian", "Debian", false },
    { "deep learning", "deep learning", false },
    { "deno", "Deno", false },
    { "devops", "DevOps", false },
    { "django", "Django", false },
    { "docker", "Docker", false },
    { "duckdb", "DuckDB", false },
    { "dynamodb", "DynamoDB", false },
    { "elasticsearch", "Elasticsearch", false },
    { "electron", "Electron", true },
    { "elixir", "Elixir", true },
    { "elm", "Elm", true },
    { "emacs", "Emacs", false },
    { "embedded systems", "embedded systems", false },
    { "erlang", "Erlang", false },
    { "eslint", "ESLint", false },
    { "esp32", "ESP32", false },
    { "express", "Express", true },
    { "express.js", "Express.js", false },
    { "expressjs", "Express.js", false },
    { "f#", "F#", false },
    { "fastapi", "FastAPI", false },
    { "fedora", "Fedora", true },
    { "figma", "Figma", false },
    { "firebase", "Firebase", false },
    { "flask", "Flask", true },
    { "flink", "Flink", false },
    { "flutter", "Flutter", true },
    { "fortran", "Fortran", false },
    { "freebsd", "FreeBSD", false },
    { "functional programming", "functional programming", false },
    { "game development", "game development", false },
    { "gcc", "GCC", false },
    { "gcp", "GCP", false },
    { "git", "Git", false },
    { "github", "GitHub", false },
    { "github actions", "GitHub Actions", false },
    { "gitlab", "GitLab", false },
    { "go", "Go", true },
    { "golang", "Go", false },
    { "grafana", "Grafana", false },
    { "graphql", "GraphQL", false },
    { "groovy", "Groovy", true },
    { "grpc", "gRPC", false },
    { "hadoop", "Hadoop", false },
    { "haskell", "Haskell", false },
    { "helm", "Helm", true },
    { "html", "HTML", false },
    { "ios", "iOS", false },
    { "istio", "Istio", false },
    { "java", "Java", false },
    { "javascript", "JavaScript", false },
    { "jenkins", "Jenkins", false },
    { "jest", "Jest", true },
    { "jira", "Jira", false },
    { "jquery", "jQuery", false },
    { "julia", "Julia", true },
    { "jupyter", "Jupyter", false },
    { "k8s", "Kubernetes", false },
    { "kafka", "Kafka", false },
    { "keycloak", "Keycloak", false },
    { "kotlin", "Kotlin", false },
    { "kubernetes", "Kubernetes", false },
    { "langchain", "LangChain", false },
    { "laravel", "Laravel", false },
    { "latex", "LaTeX", false },
    { "linux", "Linux", false },
    { "lisp", "Lisp", true },
    { "llms", "LLMs", false },
    { "llvm", "LLVM", false },
    { "lua", "Lua", false },
    { "machine learning", "machine learning", false },
    { "mariadb", "MariaDB", false },
    { "matlab", "MATLAB", false },
    { "memcached", "Memcached", false },
    { "meson", "Meson", true },
    { "microservices", "microservices", false },
    { "mongo", "MongoDB", false },
    { "mongodb", "MongoDB", false },
    { "mysql", "MySQL", false },
    { "neo4j", "Neo4j", false },
    { "neovim", "Neovim", false },
    { "nest.js", "NestJS", false },
    { "nestjs", "NestJS", false },
    { "next.js", "Next.js", false },
    { "nextjs", "Next.js", false },
    { "nginx", "Nginx", false },
    { "nix", "Nix", true },
    { "nixos", "NixOS", false },
    { "node", "Node.js", true },
    { "node.js", "Node.js", false },
    { "nodejs", "Node.js", false },
    { "nomad", "Nomad", true },
    { "numpy", "NumPy", false },
    { "nuxt", "Nuxt", false },
    { "ocaml", "OCaml", false },
    { "opencv", "OpenCV", false },
    { "opengl", "OpenGL", false },
    { "openshift", "OpenShift", false },
    { "opentelemetry", "OpenTelemetry", false },
    { "oracle", "Oracle", true },
    { "pandas", "Pandas", true },
    { "perl", "Perl", false },
    { "php", "PHP", false },
    { "playwright", "Playwright", false },
    { "postgres", "PostgreSQL", false },
    { "postgresql", "PostgreSQL", false },
    { "powershell", "PowerShell", false },
    { "prolog", "Prolog", false },
    { "prometheus", "Prometheus", false },
    { "puppet", "Puppet", true },
    { "python", "Python", false },
    { "pytorch", "PyTorch", false },
    { "qt", "Qt", false },
    { "r", "R", true },
    { "rabbitmq", "RabbitMQ", false },
    { "rails", "Rails", false },
    { "raspberry pi", "Raspberry Pi", false },
    { "react", "React", false },
    { "react native", "React Native", false },
    { "react.js", "React", false },
    { "reactjs", "React", false },
    { "redis", "Redis", false },
    { "redux", "Redux", false },
    { "reinforcement learning", "reinforcement learning", false },
    { "ruby", "Ruby", false },
    { "ruby on rails", "Rails", false },
    { "rust", "Rust", false },
    { "sass", "Sass", true },
    { "scala", "Scala", false },
    { "scikit-learn", "scikit-learn", false },
    { "scss", "SCSS", false },
    { "selenium", "Selenium", false },
    { "snowflake", "Snowflake", true },
    { "solidity", "Solidity", false },
    { "spark", "Spark", true },
    { "spring", "Spring", true },
    { "spring boot", "Spring Boot", false },
    { "sql", "SQL", false },
    { "sql server", "SQL Server", false },
    { "sqlite", "SQLite", false },
    { "svelte", "Svelte", false },
    { "sveltekit", "SvelteKit", false },
    { "swift", "Swift", true },
    { "swiftui", "SwiftUI", false },
    { "symfony", "Symfony", false },
    { "systemd", "systemd", false },
    { "tailwind", "Tailwind", false },
    { "tailwind css", "Tailwind", false },
    { "tensorflow", "TensorFlow", false },
    { "terraform", "Terraform", false },
    { "typescript", "TypeScript", false },
    { "ubuntu", "Ubuntu", false },
    { "unity", "Unity", true },
    { "unreal", "Unreal", true },
    { "vault", "Vault", true },
    { "verilog", "Verilog", false },
    { "vhdl", "VHDL", false },
    { "vim", "Vim", false },
    { "vite", "Vite", true },
    { "vs code", "VS Code", false },
    { "vue", "Vue", false },
    { "vue.js", "Vue", false },
    { "vuejs", "Vue", false },
    { "wasm", "WebAssembly", false },
    { "web development", "web development", false },
    { "webassembly", "WebAssembly", false },
    { "webgl", "WebGL", false },
    { "webpack", "webpack", false },
    { "webrtc", "WebRTC", false },
    { "wordpress", "WordPress", false },
    { "yaml", "YAML", true },
    { "zig", "Zig", false },
    { NULL, NULL, false },
};

const struct profile_term *profile_terms_from(const char *folded)
{
    size_t low = 0;
    size_t high = ARRAY_LEN(terms) - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(terms[middle].folded, folded) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &terms[low];
}

const struct profile_term *profile_find_term(const char *folded)
{
    const struct profile_term *term = profile_terms_from(folded);

    return term->folded && strcmp(term->folded, folded) == 0 ? term : NULL;
}

size_t profile_term_number(const struct profile_term *term)
{
    /* Spellings of one thing count as one: the first row that has it. */
    for (size_t i = 0; terms[i].folded; i++) {
        if (strcmp(terms[i].spelling, term->spelling) == 0)
            return i;
    }
    return 0;
}

const char *profile_term_name(size_t term)
{
    return term < ARRAY_LEN(terms) ? terms[term].spelling : NULL;
}
