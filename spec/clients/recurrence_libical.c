/* libical as a peer of lunation.rrule: lines of DTSTART, rule and limit, separated by tabs, to JSON lines as the other peers
 * write them. Each rule has a process of its own, which ends after a second: some keep libical for ever. */
#include <libical/ical.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 1 };

static void answer(const char *start, const char *text, long limit)
{
	struct icalrecurrencetype rule = icalrecurrencetype_from_string(text);
	icalrecur_iterator *it =
	    rule.freq == ICAL_NO_RECURRENCE ? NULL : icalrecur_iterator_new(rule, icaltime_from_string(start));

	if (it == NULL) {
		printf("{\"error\":\"refused\"}\n");
		fflush(stdout);
		return;
	}
	printf("{\"times\":[");
	for (long n = 0; n < limit; n++) {
		icaltimetype t = icalrecur_iterator_next(it);

		if (icaltime_is_null_time(t))
			break;
		printf("%s\"%04d-%02d-%02dT%02d:%02d:%02d\"", n ? "," : "", t.year, t.month, t.day, t.hour, t.minute,
		       t.second);
	}
	printf("]}\n");
	fflush(stdout);
}

int main(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		char *start = strtok(line, "\t"), *text = strtok(NULL, "\t"), *limit = strtok(NULL, "\n");
		int status = 0;
		pid_t child;

		if (limit == NULL)
			return 1;
		child = fork();
		if (child == 0) {
			static char buffer[1 << 16];

			setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
			alarm(SECONDS);
			answer(start, text, atol(limit));
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) < 0)
			return 1;
		if (!WIFEXITED(status)) {
			printf("{\"timeout\":true}\n");
			fflush(stdout);
		}
	}
	return 0;
}
