/*
 * control.h - /lab/...: what people do in the workspace, and what goes wrong, on command.
 * README.md lists the commands.
 */
#ifndef SLACK_LAB_CONTROL_H
#define SLACK_LAB_CONTROL_H

struct request;

void control_handle(struct request *request, const char *command);

/* A POST to a response_url. */
void control_take_response(struct request *request);

#endif
