// What c10d's header names of gloo; gloo itself is inside libtorch. See gloo/context.h.
#pragma once
