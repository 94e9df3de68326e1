alter table `Users` add column `Full Name` varchar(10), add key k (`Name`);

update `Users` set `full name` = upper(name);

alter table `Users` drop column age;
