#ifndef SECOND_H
#define SECOND_H

void second_file(const char* name, double value);

#endif
