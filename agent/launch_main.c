/*
 * The program `threadkeeper-launch`: what `threadkeeper launch` does, and nothing else.
 *
 * One of these stays beside every agent. threadkeeper itself is linked with Slack's and the
 * store's libraries, which a loader takes milliseconds and megabytes to set up; this one needs
 * the C library and little more. It lies beside threadkeeper; where it is missing, threadkeeper
 * does it itself.
 */
#include "agent/launch.h"

#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 3 || strcmp(argv[1], "launch") != 0)
        return 2;
    return agent_launch_main(argv[2]);
}
