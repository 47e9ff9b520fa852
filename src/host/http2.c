/* HTTP/2 */
#include "host/server.h"
bool http2_start(struct conn *c)
{
	(void)c;
	return false;
}
bool http2_input(struct conn *c, const char *data, size_t len)
{
	(void)c;
	(void)data;
	(void)len;
	return false;
}
void http2_answer(struct exchange *ex, struct answer *a)
{
	(void)ex;
	(void)a;
}
bool http2_write(struct exchange *ex, const char *data, size_t len)
{
	(void)ex;
	(void)data;
	(void)len;
	return true;
}
void http2_end(struct exchange *ex, bool complete)
{
	(void)ex;
	(void)complete;
}
void http2_drain(struct conn *c)
{
	(void)c;
}
void http2_free(struct conn *c)
{
	(void)c;
}
void http2_send(struct conn *c)
{
	(void)c;
}
void http2_sweep(struct conn *c, uint64_t now)
{
	(void)c;
	(void)now;
}
bool http2_idle(const struct conn *c)
{
	(void)c;
	return false;
}
