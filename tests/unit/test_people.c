#include "bot/people.h"

#include "base/http.h"
#include "tests/test.h"
#include "tests/unit/slack_peer.h"

static void who_is_a_guest_is_asked_once(void **state)
{
    static const struct {
        const char *answer;
        bool want;
        unsigned calls; /* for two questions */
        const char *because;
    } cases[] = {
        { "{\"ok\":true,\"user\":{\"team_id\":\"T1\"}}", false, 1, "a member" },
        { "{\"ok\":true,\"user\":{\"team_id\":\"T1\",\"is_restricted\":true}}", true, 1,
          "a guest" },
        { "{\"ok\":true,\"user\":{\"team_id\":\"T1\",\"is_ultra_restricted\":true}}", true, 1,
          "a guest of one channel" },
        { "{\"ok\":true,\"user\":{\"team_id\":\"T2\"}}", true, 1, "of another workspace" },
        { "{\"ok\":false,\"error\":\"missing_scope\"}", false, 2,
          "Slack does not tell: let in, and not remembered" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_peer *peer = peer_new();
        struct slack_limits *limits = slack_limits_new(NULL);
        struct slack_web *web = slack_web_new(peer->url, "xoxb-1", limits);
        struct people *people = people_new();

        peer_script(peer, "users.info", 200, "", cases[i].answer, false);
        peer_script(peer, "users.info", 200, "", cases[i].answer, false);
        for (int n = 0; n < 2; n++)
            CHECK_INT(people_is_guest(people, web, "U1", "T1"), cases[i].want,
                      cases[i].because);
        CHECK_INT(peer_count(peer, "users.info"), cases[i].calls, cases[i].because);
        people_free(people);
        slack_web_free(web);
        slack_limits_free(limits);
        peer_free(peer);
    }
}

static int start_http(void **state)
{
    (void)state;
    return http_startup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(who_is_a_guest_is_asked_once) };

    return cmocka_run_group_tests(tests, start_http, NULL);
}
