#include "memory/profile.h"

#include <stdlib.h>

#include "memory/profile_parts.h"
#include "tests/test.h"

/* Facts as "name=Ann; role=developer; c; chess" in the order in which they were told. */
static void note(void *context, const char *name, const char *value)
{
    struct buf *out = context;

    if (out->len)
        buf_append_text(out, "; ");
    if (strncmp(name, "interest:", 9) != 0)
        buf_printf(out, "%s=", name);
    buf_append_text(out, value);
}

struct row {
    const char *text;
    const char *facts;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 4000);
        profile_extract(rows[i].text, note, &out);
        CHECK_TEXT(buf_text(&out), rows[i].facts, rows[i].text);
    }
}

static void names_are_learnt(void)
{
    static const struct row rows[] = {
        { "My name is Ann", "name=Ann" },
        { "my name is Ann Lee.", "name=Ann Lee" },
        { "My name's Ann, nice to meet you", "name=Ann" },
        { "I'm Ann", "name=Ann" },
        { "I’m Ann", "name=Ann" },
        { "I am Ann.", "name=Ann" },
        { "Hi, I'm Sumit Pandya", "name=Sumit Pandya" },
        { "Hi there! I'm Ann :wave:", "name=Ann" },
        { "hello everyone, I'm Ann and I need help", "name=Ann" },
        { "Hey I'm Ann from accounting", "name=Ann" },
        { "I'm Ann, can you help me?", "name=Ann" },
        { "Good morning, I am Ann Lee here to help", "name=Ann Lee" },
        { "call me Ann", "name=Ann" },
        { "You can call me Bob", "name=Bob" },
        { "please just call me Bob", "name=Bob" },
        { "This is Bob speaking", "name=Bob" },
        { "this is Bob Miller here", "name=Bob Miller" },
        { "I go by Max", "name=Max" },
        { "I'm José", "name=José" },
        { "I'm Łukasz Nowak", "name=Łukasz Nowak" },
        { "I'm Conan O'Brien", "name=Conan O'Brien" },
        { "I'm Conan O’Brien", "name=Conan O'Brien" },
        { "My name is Jean-Luc Picard", "name=Jean-Luc Picard" },
        { "I'm Nguyễn Văn A", "name=Nguyễn Văn A" },
        { "My name is 李雷", "name=李雷" },
        { "My name is Ludwig van Beethoven", "name=Ludwig van Beethoven" },
        { "I'm Ursula von der Leyen", "name=Ursula von der Leyen" },
        { "My name is John F. Kennedy", "name=John F Kennedy" },
        { "*I'm Ann*", "name=Ann" },
        { "I'm Ann Young.", "name=Ann Young" },
        { "Ich heiße Jörg", "name=Jörg" },
        { "Hallo, mein Name ist Jörg Müller", "name=Jörg Müller" },
        { "Je m'appelle Hélène", "name=Hélène" },
        { "Bonjour, je m’appelle Hélène", "name=Hélène" },
        { "Hola, me llamo Íñigo Montoya", "name=Íñigo Montoya" },
        { "Intro: I'm Ann", "name=Ann" },
        { "The build is red.\nI'm Ann, by the way.", "name=Ann" },
        { "```\nI'm Bob\n```\nI'm Ann", "name=Ann" },
        { "I'm Khaled", "name=Khaled" },
        { "I'm Will", "name=Will" },
        { "I'm Ahmed", "name=Ahmed" },
        { "I'm Manfred Blocked", "" },
    };

    check_rows(rows, ARRAY_LEN(rows));
}

static void nobody_is_called_what_is_no_name(void)
{
    static const char *const texts[] = {
        "I'm tired",
        "I'm on call",
        "I am in Berlin",
        "I'm Sure",
        "I'm Not Sure About This",
        "I'M NOT SURE",
        "I'm ann",
        "my name is important here",
        "I'm Having Trouble With Docker",
        "I'm Working",
        "I'm German",
        "I'm Vegan",
        "I'm Python",
        "I'm React developer Bob's friend",
        "I'm AWS certified",
        "I'm AFK",
        "I'm PST",
        "I'm Berlin based",
        "I'm Bob's manager",
        "I'm Bob?",
        "I'm C3PO",
        "I'm @bob",
        "I'm <https://bob.example|Bob>",
        "I'm Team Red",
        "I'm Ok",
        "I'm Here",
        "I'm Back",
        "I am Very Happy",
        "I'm So Excited About This New Thing",
        "Im Berlin",
        "Ich bin Vegetarier",
        "Ich bin Müde",
        "> I'm Bob",
        ">I'm Bob\n> and more",
        "> Hi, I'm Bob",
        "he said \"I'm Bob\"",
        "he said I'm Bob",
        "He said: I'm Bob",
        "Bob: I'm Bob",
        "Bob 10:02 AM\nI'm Bob",
        "Bob Miller  14:07\nHi, I'm Bob",
        "On Mon, Jan 5 Bob wrote:\nI'm Bob",
        "'I'm Bob' is what he wrote",
        "“I'm Bob” is the title",
        "„Ich heiße Bob“ stand da",
        "`I'm Bob`",
        "use `name = \"I'm Bob\"` there",
        "```\nI'm Bob\n```",
        "```I'm Bob```",
        "    I'm Bob",
        "\tI'm Bob",
        "[12:00:01] I'm Bob",
        "2024-01-05 10:00:00 I'm Bob",
        "$ echo I'm Bob",
        "ERROR I'm Bob",
        "if I'm Admin",
        "if I'm Bob, what happens?",
        "suppose I'm Bob",
        "imagine I am Bob",
        "pretend my name is Bob",
        "translate: my name is Bob",
        "translate my name is Bob into French",
        "write a function that prints my name is Bob",
        "the test says my name is Bob",
        "do you think I'm Bob?",
        "don't call me Bob",
        "call me Later",
        "call me back",
        "call me ASAP",
        "call me Monday",
        "this is Bob",
        "this is Docker speaking",
        "this is Great",
        "This is where I work",
        "what if I'm Bob",
        "when I'm Bob",
        "he knows that I'm Bob",
        "I'm Alpha Beta Gamma Delta Epsilon",
        "I'm not Bob",
        "I'm Bob.js",
        "my name is /etc/Passwd",
        "my name is https://Bob.example",
        "{\"name\": \"I'm Bob\"}",
        "name: I'm Bob",
        "I'm Admin",
        "I'm Swamped",
        "I'm Blown Away",
        "I'm Outta Here",
        "I'm Half Italian",
        "I'm Diabetic",
        "I'm Gay",
        "I'm Dr. Smith",
        "I'm Root",
        "I'm Senior",
        "i am",
        "I'm",
        "my name is",
        "call me",
        "",
        "I'm .",
        "I'm ''",
        "Am I Bob?",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 4000);
        profile_extract(texts[i], note, &out);
        if (strstr(buf_text(&out), "name="))
            fail_msg("\"%s\" taught %s", texts[i], buf_text(&out));
    }
}

static void roles_are_learnt(void)
{
    static const struct row rows[] = {
        { "I'm a full stack developer", "role=full stack developer" },
        { "I am a Senior Backend Engineer at Acme", "role=Senior Backend Engineer" },
        { "I'm an SRE", "role=SRE" },
        { "im a designer", "role=designer" },
        { "I'm the CTO", "role=CTO" },
        { "I'm the head of engineering at Acme", "role=head of engineering" },
        { "I'm the VP of sales and marketing", "role=VP of sales" },
        { "I'm the tech lead of the payments team", "role=tech lead" },
        { "I'm the manager of this channel", "role=manager" },
        { "I'm head of design", "role=head of design" },
        { "I'm currently a product manager", "role=product manager" },
        { "I'm just a developer", "role=developer" },
        { "I'm a new developer here", "role=developer" },
        { "I'm a developer working on billing", "role=developer" },
        { "I'm a C++ developer", "role=C++ developer" },
        { "I'm a data scientist, mostly Python", "role=data scientist" },
        { "I work as a nurse", "role=nurse" },
        { "I work as QA engineer in Berlin", "role=QA engineer" },
        { "My role is platform engineer", "role=platform engineer" },
        { "my job title is Principal Engineer", "role=Principal Engineer" },
        { "I do frontend", "role=frontend" },
        { "I mostly do machine learning work", "role=machine learning work" },
        { "because I'm a developer I like CLIs", "role=developer" },
        { "I'm Product Manager at Acme", "role=Product Manager" },
        { "I'm a teacher and I need a quiz", "role=teacher" },
        { "I'm a Sr. Software Engineer", "role=Sr Software Engineer" },
        { "I'm Markus, ich bin Entwickler", "name=Markus; role=Entwickler" },
        { "I'm a student", "role=student" },
        { "Ich bin Entwickler", "role=Entwickler" },
        { "Ich arbeite als Lehrerin in Wien", "role=Lehrerin" },
        { "Je suis développeuse web", "" },
        { "Je suis une ingénieure", "role=ingénieure" },
        { "Soy desarrollador", "role=desarrollador" },
        { "I'm Sumit Pandya, full stack developer",
          "name=Sumit Pandya; role=full stack developer" },
        { "I'm Ann Lee (a backend engineer) and I like chess",
          "name=Ann Lee; role=backend engineer; chess" },
        { "I'm Ann - product designer at Acme", "name=Ann; role=product designer" },
        { "I'm Ann and I'm a developer", "name=Ann; role=developer" },
        { "My name is Ann. I'm a doctor.", "name=Ann; role=doctor" },
        { "I'm a bit confused", "" },
        { "I'm a huge Rust fan", "" },
        { "I'm a fan of developers", "" },
        { "I'm a developer tools fan", "" },
        { "I'm a friend of a developer", "" },
        { "I'm a vegetarian", "" },
        { "I'm a former teacher", "" },
        { "I'm an ex-manager", "" },
        { "I'm not a developer", "" },
        { "I'm no longer a developer", "" },
        { "I'm a terrible manager", "" },
        { "I'm the one who broke it", "" },
        { "I'm the owner of this repo", "" },
        { "I'm a robot", "" },
        { "pretend I'm a doctor", "" },
        { "explain it like I'm a developer", "" },
        { "explain as if I am a student", "" },
        { "if I'm a manager, can I see it?", "" },
        { "she said I'm a developer", "" },
        { "imagine you are a pirate and I'm a developer", "" },
        { "my job is failing", "" },
        { "my role is arn:aws:iam::1:role/developer", "" },
        { "my role is unclear", "" },
        { "it does not work as expected", "" },
        { "I work as hard as I can", "" },
        { "I do research-like things", "" },
        { "I do security reviews", "" },
        { "I do not know", "" },
        { "I do", "" },
        { "I was a developer", "" },
        { "am I a developer?", "" },
        { "> I'm a developer", "" },
        { "I'm a", "" },
        { "I'm lead", "" },
    };

    check_rows(rows, ARRAY_LEN(rows));
}

static void interests_are_learnt(void)
{
    static const struct row rows[] = {
        { "I work with React and Node.js", "React; Node.js" },
        { "I work with Bob and Alice", "" },
        { "I work with postgres, k8s and Go", "PostgreSQL; Kubernetes; Go" },
        { "I'm interested in graph theory", "graph theory" },
        { "I am interested in machine learning and chess", "machine learning; chess" },
        { "I'm interested in your opinion", "" },
        { "I'm interested in how this works", "" },
        { "I'm interested in learning more", "" },
        { "I like hiking and jazz", "hiking; jazz" },
        { "I like it", "" },
        { "I love running my own studio", "" },
        { "I enjoy reading, watching movies and more", "reading" },
        { "I like this idea", "" },
        { "I like to move it", "" },
        { "I like Bob", "" },
        { "I love Rust!", "Rust" },
        { "I really love GraphQL", "GraphQL" },
        { "I love you", "" },
        { "we use Terraform on AWS", "Terraform" },
        { "We use Acme Cloud and Docker in production", "Acme Cloud; Docker" },
        { "we use React on the frontend, but we hate it", "React" },
        { "we use it daily", "" },
        { "I use the wrong key", "" },
        { "I mostly write Python code", "Python" },
        { "I write tests", "" },
        { "I like C", "C" },
        { "I like c", "" },
        { "we use go", "" },
        { "I use Swift and Spring Boot", "Swift; Spring Boot" },
        { "I don't like PHP", "" },
        { "I'd like Python code", "" },
        { "do you think I like Rust", "" },
        { "Ich interessiere mich für Astronomie", "Astronomie" },
        { "Me gusta Python", "Python" },
        { "J'aime Rust", "Rust" },
        { "> I like Rust", "" },
        { "I'm Ann, I'm a developer and I work with C and SQLite.",
          "name=Ann; role=developer; C; SQLite" },
        { "I like React and I'm a developer", "React; role=developer" },
        { "I'm interested in Rust, please explain lifetimes to me", "Rust" },
    };

    check_rows(rows, ARRAY_LEN(rows));
}

static void count_terms(void *context, size_t term)
{
    struct buf *out = context;

    buf_printf(out, "%s%s", out->len ? ", " : "", profile_term_name(term));
}

static void terms_are_found_once_each(void)
{
    static const struct row rows[] = {
        { "Why does my React component render twice? react is odd.", "React" },
        { "spring boot or Django on k8s?", "Spring Boot, Django, Kubernetes" },
        { "go there and express yourself in spring", "" },
        { "```\nimport React\n``` fails", "" },
        { "reactjs and React.js", "React" },
        { "unit tests for my rusty code", "" },
        { "https://react.dev says so", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 4000);
        profile_visit_terms(rows[i].text, count_terms, &out);
        CHECK_TEXT(buf_text(&out), rows[i].facts, rows[i].text);
    }
}

static void long_messages_are_read_in_part(void)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_BUF struct buf out = { 0 };

    buf_init(&text, 1 << 20);
    buf_init(&out, 4000);
    while (text.len < PROFILE_READ_MAX_BYTES)
        buf_append_text(&text, "é lorem, ");
    buf_append_text(&text, "\nI'm Ann");
    profile_extract(buf_text(&text), note, &out);
    CHECK_TEXT(buf_text(&out), "", "the end of it is not read");
    for (size_t i = 0; i < 30000; i++)
        buf_append_text(&text, ",.");
    profile_extract(buf_text(&text) + PROFILE_READ_MAX_BYTES + 16, note, &out);
}

static void every_term_is_found(void)
{
    for (size_t i = 0; i < PROFILE_TERMS_MAX; i++) {
        const char *name = profile_term_name(i);
        AUTO_FREE char *folded = NULL;
        const struct profile_term *term;

        if (!name)
            break;
        folded = xstrdup(name);
        profile_fold(folded);
        term = profile_find_term(folded);
        CHECK_TEXT(term ? term->spelling : NULL, name, "found, so the list is sorted");
    }
}

TEST_MAIN(TEST(names_are_learnt), TEST(nobody_is_called_what_is_no_name),
          TEST(roles_are_learnt), TEST(interests_are_learnt), TEST(terms_are_found_once_each),
          TEST(long_messages_are_read_in_part), TEST(every_term_is_found))
