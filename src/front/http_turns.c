#include "front/http_internal.h"

void turns_join(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->awaits_turn || s->closed)
        return;
    c->awaits_turn = true;
    c->turn_before = s->last_turn;
    c->turn_after = NULL;
    if (s->last_turn)
        s->last_turn->turn_after = c;
    else
        s->next_turn = c;
    s->last_turn = c;
    uv_idle_start(&s->turn, turns_next);
}

void turns_leave(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (!c->awaits_turn)
        return;
    c->awaits_turn = false;
    if (c->turn_before)
        c->turn_before->turn_after = c->turn_after;
    else
        s->next_turn = c->turn_after;
    if (c->turn_after)
        c->turn_after->turn_before = c->turn_before;
    else
        s->last_turn = c->turn_before;
    if (!s->next_turn)
        uv_idle_stop(&s->turn);
}

void turns_next(uv_idle_t *handle)
{
    struct http_server *s = handle->data;
    struct http_conn *c = s->next_turn;
    turns_leave(c);
    conn_take_turn(c);
}
